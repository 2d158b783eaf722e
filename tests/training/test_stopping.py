"""SIGINT and SIGTERM: the step is finished, the state kept, and a second signal ends at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from cases import Case
from rich.console import Console

from transrec.errors import Stopped
from transrec.model import TransRec
from transrec.training.checkpoint import sound_checkpoint
from transrec.training.settings import TrainingSettings
from transrec.training.stopping import Stopping
from transrec.training.trainer import Trainer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are other signals")
SETTINGS = TrainingSettings.from_mapping(
    {"epochs": 4, "device": "cpu", "tensorboard": False, "estimate": False, "patience": 9}
)


@pytest.fixture(autouse=True)
def _usual() -> Iterator[None]:
    """Signals do what they usually do, however these tests were started."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler), signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGTERM, before[1])


def validate(_: TransRec) -> Mapping[str, float]:
    return {"NDCG@10": 0.1}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_finishes_its_step_and_goes_on_later_as_if_nothing_had_been(tmp_path: Path, number: int) -> None:
    whole = Case()
    Trainer(SETTINGS).fit(whole.model, whole.objective, whole.batches, validate)

    case = Case()
    forward, calls = type(case.objective).forward, 0

    def told(self: object, *given: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 5:
            os.kill(os.getpid(), number)
        return forward(self, *given)  # type: ignore[arg-type]

    before = signal.getsignal(number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(case.objective), "forward", told)
        with pytest.raises(Stopped, match="after step 5; its state is kept, --resume goes on from there") as caught:
            Trainer(SETTINGS, tmp_path).fit(case.model, case.objective, case.batches, validate)
    assert (caught.value.step, caught.value.signal) == (5, number)
    assert isinstance(caught.value, KeyboardInterrupt), "a notebook's stop button is one"
    assert signal.getsignal(number) == before
    assert sound_checkpoint(tmp_path / "checkpoints").name == "last"
    again = Case(seed=9)
    Trainer(SETTINGS, tmp_path).fit(again.model, again.objective, again.batches, validate, resume=True)
    same = [a.equal(b) for a, b in zip(whole.model.parameters(), again.model.parameters(), strict=True)]
    assert all(same)


def test_who_asks_in_the_last_validation_is_heard_and_what_was_trained_is_kept(tmp_path: Path) -> None:
    settings, whole, case = SETTINGS.updated({"epochs": 1}), Case(), Case()
    fit = Trainer(settings).fit(whole.model, whole.objective, whole.batches, validate)

    def told(_: TransRec) -> Mapping[str, float]:
        os.kill(os.getpid(), signal.SIGTERM)
        return validate(_)

    with pytest.raises(Stopped) as caught:  # else a comparison would go on with its next model
        Trainer(settings, tmp_path).fit(case.model, case.objective, case.batches, told)
    assert caught.value.step == fit.steps and caught.value.kept
    again = Case(seed=9)
    Trainer(settings, tmp_path).fit(again.model, again.objective, again.batches, validate, resume=True)
    assert all(a.equal(b) for a, b in zip(whole.model.parameters(), again.model.parameters(), strict=True))


def test_a_second_signal_ends_at_once() -> None:
    with Stopping(Console(quiet=True), alone=True) as stopping:
        os.kill(os.getpid(), signal.SIGINT)
        assert stopping.asked == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Stopping(Console(quiet=True), alone=True) as stopping:
        os.kill(os.getpid(), signal.SIGINT)
        assert stopping.asked is None


def test_other_threads_and_several_processes_do_not_listen() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Stopping(Console(quiet=True), alone=False):
        assert signal.getsignal(signal.SIGTERM) == before
    heard: list[object] = []

    def elsewhere() -> None:
        with Stopping(Console(quiet=True), alone=True):
            heard.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert heard == [before]
