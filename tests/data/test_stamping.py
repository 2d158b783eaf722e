from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from transrec.data.stamping import UNSTAMPED, stamp, stamp_damage
from transrec.errors import RunError
from transrec.weights import load_weights, save_weights

FIXED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def stamped(path: Path) -> bytes:
    safetensors.torch.save_file({"a": torch.arange(12.0), "b": torch.ones(3, 2)}, str(path), metadata=dict(UNSTAMPED))
    stamp(path)
    return path.read_bytes()


def test_a_stamped_file_is_whole_and_reads_as_any_other(tmp_path: Path) -> None:
    stamped(tmp_path / "w")
    assert stamp_damage(tmp_path / "w") is None
    assert torch.equal(safetensors.torch.load_file(str(tmp_path / "w"))["a"], torch.arange(12.0))


def test_the_stamp_depends_on_what_is_written_alone(tmp_path: Path) -> None:
    assert stamped(tmp_path / "one") == stamped(tmp_path / "two")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return stamped(tmp_path_factory.mktemp("whole") / "w")


@FIXED
@given(st.data())
def test_whatever_byte_flips_is_noticed_or_refused(tmp_path: Path, whole: bytes, data: st.DataObject) -> None:
    """But for the key of the stamp itself: without it the file is one of an earlier version, and otherwise whole."""
    key = whole.index(b'"__metadata__"')
    innocent = range(key, whole.index(b'":"', key + 20) + 3)
    place = data.draw(st.integers(0, len(whole) - 1).filter(lambda own: own not in innocent))
    bit = data.draw(st.integers(0, 7))
    spoiled = bytearray(whole)
    spoiled[place] ^= 1 << bit
    (tmp_path / "w").write_bytes(bytes(spoiled))
    if stamp_damage(tmp_path / "w") is None:
        with pytest.raises(safetensors.SafetensorError):
            safetensors.torch.load_file(str(tmp_path / "w"))


@pytest.mark.parametrize(
    "content", [b"", b"1234567", b"\xff" * 40, b"\x02" + b"\0" * 7 + b"[]", b"\x02" + b"\0" * 7 + b"{}"]
)
def test_what_is_no_such_file_is_left_to_its_reader(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w").write_bytes(content)
    assert stamp_damage(tmp_path / "w") is None


def test_weights_that_have_changed_on_the_disk_are_refused(tmp_path: Path) -> None:
    save_weights(nn.Linear(4, 4), tmp_path / "w")
    content = bytearray((tmp_path / "w").read_bytes())
    content[-5] ^= 1
    (tmp_path / "w").write_bytes(bytes(content))
    with pytest.raises(RunError, match=r"(?s)the weights are damaged: w is not what was written.*copy the run folder again"):
        load_weights(nn.Linear(4, 4), tmp_path / "w")


def test_weights_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    made, read = nn.Linear(4, 4), nn.Linear(4, 4)
    safetensors.torch.save_model(made, str(tmp_path / "w"))
    load_weights(read, tmp_path / "w")
    assert torch.equal(made.weight, read.weight)


def test_a_kill_between_writing_and_stamping_leaves_the_file_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, read = nn.Linear(4, 4), nn.Linear(4, 4)
    save_weights(before, tmp_path / "w")

    def killed(_: Path) -> None:
        raise InterruptedError

    monkeypatch.setattr("transrec.weights.stamp", killed)
    with pytest.raises(InterruptedError):
        save_weights(nn.Linear(4, 4), tmp_path / "w")
    load_weights(read, tmp_path / "w")
    assert torch.equal(before.weight, read.weight)
