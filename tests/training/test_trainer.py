"""The loop: it learns, stops, keeps the best weights, and resumes bit for bit."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import pytest
import torch
from cases import SETTINGS, Case

from transrec.data.batches import SequenceBatch, SequenceBatches
from transrec.data.mixing import MixedBatches
from transrec.data.sealing import seal
from transrec.data.splits import leave_one_out
from transrec.errors import RunError, TrainingError
from transrec.model import TransRec
from transrec.training.settings import TrainingSettings
from transrec.training.trainer import Fit, Trainer, resolve_device

MEASURED = ("windows_per_second", "waiting_for_input")


@pytest.fixture
def case() -> Case:
    return Case()


def settings(**changes: object) -> TrainingSettings:
    return TrainingSettings.from_mapping({"epochs": 5, "device": "cpu", "tensorboard": False, "log_every": 1, **changes})


class Validation:
    """Gives these values in turn, under the name of the metric; remembers the weights that it saw."""

    def __init__(self, values: list[float], interrupt_at: int | None = None) -> None:
        self.values, self.interrupt_at, self.calls = values, interrupt_at, 0
        self.seen: list[Mapping[str, torch.Tensor]] = []

    def __call__(self, model: TransRec) -> Mapping[str, float]:
        if self.interrupt_at == self.calls:
            raise KeyboardInterrupt
        self.seen.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        self.calls += 1
        return {"NDCG@10": self.values[self.calls - 1]}


def fit(case: Case, validation: Validation, folder: Path | None = None, *, resume: bool = False, **changes: object) -> Fit:
    trainer = Trainer(settings(**changes), folder)
    return trainer.fit(case.model, case.objective, case.batches, validation, resume=resume)


def rows(folder: Path, kind: str) -> list[dict[str, float]]:
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in found if row["kind"] == kind]


def test_the_loss_falls(tmp_path: Path) -> None:
    fit(Case(), Validation([0.1] * 30), tmp_path, epochs=30, learning_rate=1e-2, patience=30)
    losses = [row["loss"] for row in rows(tmp_path, "train")]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_the_best_weights_are_put_back_and_patience_stops() -> None:
    case, validation = Case(), Validation([0.1, 0.4, 0.2, 0.3, 0.9])
    result = fit(case, validation, patience=2)
    per_epoch = case.batches.steps_per_epoch
    assert result == Fit(steps=4 * per_epoch, best_step=2 * per_epoch, best=0.4, stopped_early=True)
    assert all(tensor.equal(validation.seen[1][name]) for name, tensor in case.model.state_dict().items())
    assert not case.model.training


def test_the_last_weights_are_kept_where_validation_is_not_to_choose(tmp_path: Path) -> None:
    case, validation = Case(), Validation([0.5, 0.4, 0.3, 0.2, 0.1])
    result = fit(case, validation, tmp_path, patience=1, keep="last")
    steps = 5 * case.batches.steps_per_epoch
    assert result == Fit(steps=steps, best_step=steps, best=0.1, stopped_early=False)
    assert all(tensor.equal(validation.seen[-1][name]) for name, tensor in case.model.state_dict().items())


@pytest.mark.parametrize("clip", [1e-6, None])
def test_gradients_are_scaled_down_only_if_asked(clip: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = []
    step = torch.optim.AdamW.step

    def measured(self: torch.optim.AdamW, *arguments: object, **named: object) -> object:
        gradients = [p.grad.flatten() for group in self.param_groups for p in group["params"] if p.grad is not None]
        lengths.append(float(torch.cat(gradients).norm()))
        return step(self, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.optim.AdamW, "step", measured)
    fit(Case(), Validation([0.1]), epochs=1, clip=clip)
    assert lengths and all((length <= 1.01e-6) == (clip is not None) for length in lengths)


@pytest.mark.parametrize(
    ("objective", "chosen"),
    [("softmax", {}), ("softmax", {"memory": 2}), ("softmax", {"positions_at_once": 9}), ("gbce", {}), ("multistep", {})],
)
def test_resuming_an_interrupted_training_is_the_same_training_bit_for_bit(
    tmp_path: Path, objective: str, chosen: Mapping[str, object]
) -> None:
    values = [0.1, 0.2, 0.3, 0.25, 0.4]
    whole = Case(objective=objective, **chosen)
    expected = fit(whole, Validation(values), tmp_path / "whole")

    broken = Case(objective=objective, **chosen)
    with pytest.raises(KeyboardInterrupt):
        fit(broken, Validation(values, interrupt_at=3), tmp_path / "broken")
    resumed = Case(seed=9, objective=objective, **chosen)  # other fresh weights: the checkpoint must replace them all
    result = fit(resumed, Validation(values[3:]), tmp_path / "broken", resume=True)

    assert result == expected
    for name, tensor in whole.model.state_dict().items():
        assert tensor.equal(resumed.model.state_dict()[name]), name

    def without_speed(folder: Path) -> list[dict[str, float]]:
        return [{k: v for k, v in row.items() if k not in MEASURED} for row in rows(folder, "train")]

    assert without_speed(tmp_path / "whole") == without_speed(tmp_path / "broken")


def test_what_an_objective_remembers_is_part_of_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(Case(memory=2), Validation([0.1], interrupt_at=1), tmp_path)
    with pytest.raises(RunError, match="what another objective remembered"):
        fit(Case(), Validation([]), tmp_path, resume=True)
    (tmp_path / "checkpoints" / "last" / "objective.safetensors").unlink()
    seal(tmp_path / "checkpoints" / "last")  # as one that a training without a memory has left
    with pytest.raises(TrainingError, match="former batches that were not trained on"):
        fit(Case(memory=2), Validation([]), tmp_path, resume=True)


def test_every_platform_of_a_mixture_has_a_memory_of_its_own() -> None:
    """Their rows are numbered alike, and their vectors are not."""
    cases = [Case(memory=1), Case(memory=1)]
    stores = [cases[0].store, cases[0].store.of_platform(1)]
    split, plan = leave_one_out(cases[0].dataset.interactions), cases[0].objective.plan
    counts = cases[0].counts
    each = [
        SequenceBatches(split, store, plan, batch_size=16, seed=seed, counts=counts) for seed, store in enumerate(stores)
    ]
    model = TransRec.build(SETTINGS, [cases[0].dataset.catalog] * 2)
    mixed = MixedBatches(each, seed=0)
    result = Trainer(settings(epochs=2)).fit(model, cases[0].objective, mixed, Validation([0.1, 0.2]))
    assert result.steps == 4 * each[0].steps_per_epoch
    assert {name.partition(".")[0] for name in cases[0].objective.state()} == {"0", "1"}


def test_checkpoints_inside_an_epoch_lose_nothing(tmp_path: Path) -> None:
    whole = Case()
    fit(whole, Validation([0.1, 0.2]), tmp_path / "whole", epochs=2)

    broken = Case()
    batch = broken.batches.batch

    def interrupted(step: int) -> SequenceBatch:
        if step == broken.batches.steps_per_epoch + 2:
            raise KeyboardInterrupt
        return batch(step)

    broken.batches.batch = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        fit(broken, Validation([0.1, 0.2]), tmp_path / "broken", epochs=2, checkpoint_minutes=0)
    resumed = Case(seed=9)
    seen = []
    batch = resumed.batches.batch
    resumed.batches.batch = lambda step: seen.append(step) or batch(step)  # type: ignore[func-returns-value,method-assign,assignment]
    fit(resumed, Validation([0.2]), tmp_path / "broken", epochs=2, resume=True, checkpoint_minutes=0)
    assert min(seen) > resumed.batches.steps_per_epoch, "it went on inside the second epoch"
    assert all(t.equal(whole.model.state_dict()[name]) for name, t in resumed.model.state_dict().items())


def test_a_training_that_has_ended_is_not_trained_further(tmp_path: Path) -> None:
    first = Case()
    fit(first, Validation([0.1] * 2), tmp_path, epochs=2)
    again, validation = Case(seed=3), Validation([])
    fit(again, validation, tmp_path, epochs=2, resume=True)
    assert validation.calls == 0
    assert all(t.equal(first.model.state_dict()[name]) for name, t in again.model.state_dict().items())


def test_nothing_to_resume_is_said(tmp_path: Path, case: Case) -> None:
    with pytest.raises(RunError, match="no checkpoint to resume from"):
        fit(case, Validation([]), tmp_path, resume=True)


def test_adding_gradients_of_parts_takes_the_windows_of_as_many_batches(tmp_path: Path, case: Case) -> None:
    seen = []
    batch = case.batches.batch
    case.batches.batch = lambda step: seen.append(step) or batch(step)  # type: ignore[func-returns-value,method-assign,assignment]
    fit(case, Validation([0.1]), tmp_path, epochs=1, accumulate=2)
    assert seen == list(range(case.batches.steps_per_epoch // 2 * 2))
    assert len(rows(tmp_path, "train")) == case.batches.steps_per_epoch // 2


def test_encoders_read_so_many_items_at_a_time_while_it_trains(case: Case) -> None:
    seen: list[int | None] = []

    def validate(model: TransRec) -> Mapping[str, float]:
        seen.append(model.items.at_once)
        return {"NDCG@10": 0.1}

    Trainer(settings(epochs=1, items_at_once=3)).fit(case.model, case.objective, case.batches, validate)
    assert seen == [3]
    assert case.model.items.at_once is None


def test_the_share_of_time_that_is_spent_on_waiting_for_batches_is_told(tmp_path: Path, case: Case) -> None:
    made = case.batches.batch

    def slow(step: int) -> SequenceBatch:
        time.sleep(0.2)  # the step itself takes a few milliseconds
        return made(step)

    with mock.patch.object(case.batches, "batch", slow):
        fit(case, Validation([0.1]), tmp_path, epochs=1)
    shares = [row["waiting_for_input"] for row in rows(tmp_path, "train")]
    assert shares and 0.5 < statistics.median(shares) <= 1


def test_max_steps_ends_with_a_validation(tmp_path: Path, case: Case) -> None:
    result = fit(case, Validation([0.1]), tmp_path, max_steps=2, epochs=50)
    assert result.steps == 2 and len(rows(tmp_path, "validation")) == 1


def test_a_loss_that_is_no_number_stops_the_training(case: Case) -> None:
    with torch.no_grad():
        case.model.items.projections["given"].linear.weight.fill_(torch.nan)
    with pytest.raises(TrainingError, match="the loss or its gradient is not a number at step 1"):
        fit(case, Validation([0.1] * 5))


def test_nothing_that_learns_is_said(case: Case) -> None:
    case.model.requires_grad_(requires_grad=False)
    with pytest.raises(TrainingError, match="no parameter learns"):
        fit(case, Validation([0.1]))


def test_training_does_not_disturb_the_process(case: Case) -> None:
    """The model is built from its own seed; only the loop's marked per-step seeding touches the process."""
    torch.manual_seed(123)  # noqa: TID251  (to see that nothing else does)
    expected = torch.rand(1)
    torch.manual_seed(123)  # noqa: TID251
    Case(seed=5)
    assert torch.rand(1).equal(expected)


def test_tensorboard_files_are_written(tmp_path: Path, case: Case) -> None:
    fit(case, Validation([0.1]), tmp_path, epochs=1, tensorboard=True)
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_a_device_that_is_not_there_is_said() -> None:
    assert resolve_device("cpu").type == "cpu"
    if not torch.cuda.is_available():
        with pytest.raises(TrainingError, match="no usable cuda device"):
            resolve_device("cuda")


def test_a_second_training_may_have_another_precision() -> None:
    for precision in ("float32", "bfloat16", "float32"):
        fit(Case(), Validation([0.1]), epochs=1, precision=precision)


@pytest.mark.parametrize("users", [{}, {"start": "fresh"}, {"gated": {"time_bias": False}}])
def test_gated_users_learn(tmp_path: Path, users: dict[str, object]) -> None:
    case = Case(users={"kind": "gated", **users})
    fit(case, Validation([0.1] * 30), tmp_path, epochs=30, learning_rate=1e-2, patience=30)
    losses = [row["loss"] for row in rows(tmp_path, "train")]
    assert statistics.mean(losses[-5:]) < 0.8 * statistics.mean(losses[:5])


def test_batches_without_times_are_refused_where_users_read_them() -> None:
    case = Case(users={"kind": "gated"})
    case.batches = Case().batches
    with pytest.raises(TrainingError, match="reads when events were, and the batches do not say so"):
        fit(case, Validation([0.1]), epochs=1)


def test_the_loop_itself_wants_a_number(case: Case) -> None:
    with pytest.raises(TrainingError, match="found by the verbs"):
        fit(case, Validation([]), items_at_once="auto")


def test_a_step_that_does_not_fit_into_memory_is_told_with_what_to_do(case: Case, tmp_path: Path) -> None:
    whole = type(case.objective).forward
    calls = iter(range(100))

    def full(self: object, *given: object) -> object:
        if next(calls) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return whole(self, *given)

    with (
        mock.patch.object(type(case.objective), "forward", full),
        pytest.raises(TrainingError, match=r"does not fit into the memory(.|\n)*items-at-once auto") as told,
    ):
        fit(case, Validation([0.1] * 9), tmp_path)
    assert told.value.where == "training.batch_size" and next(calls) == 3
