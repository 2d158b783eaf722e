"""Columns that grow: the same on disk and in memory, whole after any interruption."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from transrec.data import filling as module
from transrec.data.columns import open_columns
from transrec.data.filling import Filling
from transrec.data.ragged import Ragged
from transrec.errors import DataError

TYPES = [torch.uint8, torch.int16, torch.uint16, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.bool]


def chunk(start, count, dtype=torch.float32):
    lengths = (torch.arange(count) + start) % 3
    values = (torch.arange(int(lengths.sum()) * 2) % 2).view(-1, 2).to(dtype)
    return {"fixed": (torch.arange(count * 4) % 5 % 2).view(count, 2, 2).to(dtype), "ragged": Ragged(values, lengths)}


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("on_disk", [True, False])
def test_columns_hold_what_was_appended(dtype, on_disk, tmp_path):
    filling = Filling(tmp_path if on_disk else None, "the test")
    chunks = [chunk(0, 5, dtype), chunk(5, 0, dtype), chunk(5, 7, dtype)]
    for place, each in enumerate(chunks):
        filling.append(each, place)
    columns = filling.finish()
    slots = np.array([1, 4, 5, 11])
    fixed, ragged = columns["fixed"].take(slots), columns["ragged"].take(slots)
    expected = torch.cat([each["fixed"].float() for each in chunks])
    assert fixed.float().equal(expected[torch.from_numpy(slots)])
    assert fixed.dtype == (torch.int32 if dtype == torch.uint16 else dtype)
    whole = [entry.float() for each in chunks for entry in each["ragged"].each()]
    assert all(torch.equal(found.float(), whole[slot]) for found, slot in zip(ragged.each(), slots, strict=True))
    assert columns["ragged"].sizes(slots).tolist() == [len(whole[slot]) for slot in slots]
    assert columns["fixed"].sizes(slots).tolist() == [1, 1, 1, 1]


def test_an_interrupted_filling_goes_on_where_it_was_committed(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "COMMIT_BYTES", 0)
    begun, folder = tmp_path / "begun", tmp_path / "as-the-machine-stopped"
    begun.mkdir()
    first = Filling(begun, "the test")
    first.notes["colour"] = "red"
    first.append(chunk(0, 5), 5)
    monkeypatch.setattr(module, "COMMIT_BYTES", 1 << 30)
    first.append(chunk(5, 6), 11)
    shutil.copytree(begun, folder)
    first.close()
    second = Filling(folder, "the test")
    assert second.done == 5 and second.notes == {"colour": "red"}
    assert len(second.so_far("fixed")) == 5
    second.append(chunk(5, 7), 12)
    second.close()
    third = Filling(folder, "the test")
    assert third.done == 12
    third.append(chunk(12, 1), 13)
    third.finish()
    columns, notes = open_columns(folder)
    at_once = Filling(None, "the test")
    for start, count in ((0, 5), (5, 7), (12, 1)):
        at_once.append(chunk(start, count), start + count)
    expected = at_once.finish()
    every = np.arange(13)
    assert notes == {"colour": "red"}
    assert columns["fixed"].take(every).equal(expected["fixed"].take(every))
    assert columns["ragged"].take(every).values.equal(expected["ragged"].take(every).values)
    assert np.load(folder / "fixed.npy").shape == (13, 2, 2), "a plain file of numpy's"


def test_half_a_chunk_does_not_count(tmp_path):
    filling = Filling(tmp_path, "the test")
    filling.append(chunk(0, 5), 5)

    class Stops(dict):
        def items(self):
            yield "fixed", chunk(5, 3)["fixed"]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        filling.append(Stops(), 8)
    filling.close()
    again = Filling(tmp_path, "the test")
    assert again.done == 5 and len(again.so_far("fixed")) == 5
    again.close()


@pytest.mark.parametrize(
    "wrong", [{"fixed": torch.zeros(3, 2, 3)}, {"fixed": torch.zeros(3, 2, 2).double()}, {"fixed": torch.zeros(2, 2, 2)}]
)
def test_another_form_is_refused(wrong):
    filling = Filling(None, "the encoder")
    filling.append({"fixed": torch.zeros(3, 2, 2)}, 3)
    with pytest.raises(DataError, match="the encoder made 'fixed'"):
        filling.check(wrong, 3)


def test_the_description_carries_a_version(tmp_path: Path):
    filling = Filling(tmp_path, "the test")
    filling.append(chunk(0, 2), 2)
    filling.finish()
    assert json.loads((tmp_path / "store.json").read_text())["format"] == 2
    assert not (tmp_path / "progress.json").exists()
