"""The journal: what was written is there, what was not written to its end is not, and nothing else is passed over."""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from transrec.data.catalog import Item
from transrec.errors import DataError, RunError
from transrec.retrieval.journal import HEAD, Change, Journal

CHANGES = [
    Change.of_items(
        [Item(id="a", text="t", image=b"\xff\x00", vectors={"given": [1.0, 2.0]}), Item(id="b", text="u")],
        {"price": [1.5, None], "day": [datetime.date(2026, 1, 2), None]},
        np.array([[0.1, 0.2], [0.3, 0.4]], dtype=np.float32),
    ),
    Change.of_columns(["a"], {"price": [2.5]}),
    Change.removal(["b", "c"]),
]


def written(path: Path) -> bytes:
    journal = Journal(path, "m")
    for change in CHANGES:
        journal.append(change)
    journal.close()
    return path.read_bytes()


def test_a_change_is_on_disk_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's buffers are told to empty after the last byte of a change, every time."""
    sizes: list[int] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        fsync(handle)
        sizes.append(os.fstat(handle).st_size)

    monkeypatch.setattr(os, "fsync", noted)
    journal = Journal(tmp_path / "j", "m")
    for change in CHANGES:
        journal.append(change)
        assert sizes[-1] == (tmp_path / "j").stat().st_size
    assert len(set(sizes)) >= len(CHANGES)
    journal.close()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    written(tmp_path / "j")
    first, second, third = Journal(tmp_path / "j", "m").read()
    assert first.kind == "items" and first.ids == ("a", "b") and first.model == "m"
    assert first.items[0].image == b"\xff\x00" and first.items[0].vectors["given"].tolist() == [1.0, 2.0]
    assert first.items[1].text == "u" and not first.items[1].vectors
    assert first.columns == {"price": [1.5, None], "day": [datetime.date(2026, 1, 2), None]}
    assert first.vectors is not None and np.array_equal(first.vectors, CHANGES[0].vectors)
    assert (second.kind, second.ids, second.columns) == ("columns", ("a",), {"price": [2.5]})
    assert (third.kind, third.ids) == ("removal", ("b", "c"))
    assert Journal(tmp_path / "none", "m").read() == []


def test_a_torn_end_is_left_out_with_a_warning_wherever_it_tears(tmp_path: Path) -> None:
    content = written(tmp_path / "whole")
    written_ends = []
    for count in range(4):
        path = tmp_path / f"{count}"
        journal = Journal(path, "m")
        for change in CHANGES[:count]:
            journal.append(change)
        journal.close()
        written_ends.append(path.stat().st_size if count else len(HEAD))
    for stop in sorted({*range(len(HEAD) + 1, len(content), 97), *(end + 1 for end in written_ends[:-1]), len(content) - 1}):
        path = tmp_path / "torn"
        path.write_bytes(content[:stop])
        journal = Journal(path, "m")
        whole = sum(end <= stop for end in written_ends) - 1
        if stop in written_ends:
            assert len(journal.read()) == whole
        else:
            with pytest.warns(UserWarning, match="not written to its end"):
                assert len(journal.read()) == whole
        journal.append(CHANGES[2])
        journal.close()
        assert [change.ids for change in Journal(path, "m").read()] == [*(c.ids for c in CHANGES[:whole]), CHANGES[2].ids]


def test_room_that_the_disk_only_made_is_a_torn_end(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(written(tmp_path / "j") + bytes(500))
    with pytest.warns(UserWarning, match="500 bytes"):
        assert len(Journal(tmp_path / "j", "m").read()) == 3


def test_damage_elsewhere_is_an_error(tmp_path: Path) -> None:
    content = bytearray(written(tmp_path / "j"))
    for place in (len(HEAD) + 2, len(HEAD) + 40):
        damaged = content.copy()
        damaged[place] ^= 0xFF
        (tmp_path / "j").write_bytes(damaged)
        with pytest.raises(RunError, match="damaged at byte 19"):
            Journal(tmp_path / "j", "m").read()
    (tmp_path / "j").write_bytes(b"something else that is long enough")
    with pytest.raises(RunError, match="no journal"):
        Journal(tmp_path / "j", "m").read()


def test_one_process_writes(tmp_path: Path) -> None:
    first, second = Journal(tmp_path / "j", "m"), Journal(tmp_path / "j", "m")
    first.read(), second.read()
    first.append(CHANGES[1])
    with pytest.raises(RunError, match="another process is changing"):
        second.append(CHANGES[2])
    first.close()
    with pytest.raises(RunError, match="has changed the items of this run meanwhile"):
        second.append(CHANGES[2])
    second.read()
    second.append(CHANGES[2])
    second.close()
    assert len(Journal(tmp_path / "j", "m").read()) == 2


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be written"):
        Journal(tmp_path / "j", "m").append(Change.of_columns(["a", "b"], {"price": [1, "x"]}))


WRITER = """
import sys
from pathlib import Path
from transrec.data.catalog import Item
from transrec.retrieval.journal import Change, Journal
journal = Journal(Path(sys.argv[1]), "m")
for number in range(10**6):
    journal.append(Change.of_columns([f"i{number}"], {"text": ["x" * 5000]}))
    print(number, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.filterwarnings("ignore:.*not written to its end")
def test_a_process_that_is_killed_loses_nothing_that_it_had_said_was_done(tmp_path: Path) -> None:
    path = tmp_path / "j"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "0\n"
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    told = [int(line) for line in process.stdout.read().splitlines() if line.strip().isdigit()]
    process.wait()
    process.stdout.close()
    found = Journal(path, "m").read()
    assert [change.ids for change in found] == [(f"i{number}",) for number in range(len(found))]
    assert len(found) >= (max(told) + 1 if told else 1)
    assert len(found) > 3, "it was killed in the middle of its work"
