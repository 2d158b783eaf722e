"""A folder that one process writes at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from transrec.data.holding import LOCK, holding, until_free
from transrec.errors import RunError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files cannot be locked there")
HOLD = (
    "import sys, time; from pathlib import Path; from transrec.data.holding import holding\n"
    "with holding(Path(sys.argv[1]), 'another verb'): print('held', flush=True); time.sleep(60)"
)


def test_another_process_is_named_and_a_killed_one_lets_go(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(RunError, match=rf"another verb, process {other.pid} on ") as caught,
            holding(tmp_path / "run", "x"),
        ):
            pass
        assert str(tmp_path / "run") in str(caught.value)
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        assert (tmp_path / "run" / LOCK).exists(), "what it left is in nobody's way"
        with holding(tmp_path / "run", "this one"):
            assert f"this one, process {os.getpid()} on " in (tmp_path / "run" / LOCK).read_text()
            assert time.strftime("%Y-") in (tmp_path / "run" / LOCK).read_text()
        assert not (tmp_path / "run" / LOCK).exists()
    finally:
        other.kill()
        other.wait()
        other.stdout.close()  # type: ignore[union-attr]


def test_no_folder_holds_nothing_and_one_that_stays_empty_goes(tmp_path: Path) -> None:
    with holding(None, "x"):
        pass
    with holding(tmp_path / "run", "x"):
        assert (tmp_path / "run").exists()
    assert not (tmp_path / "run").exists()
    with holding(tmp_path / "run", "x"):
        (tmp_path / "run" / "file").write_text("")
    assert (tmp_path / "run" / "file").exists()


def test_one_that_takes_the_place_of_another_waits_until_it_has_let_go(tmp_path: Path) -> None:
    run = tmp_path / "run"
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(run)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        begun = time.monotonic()
        until_free(run, 0.3)
        assert time.monotonic() - begun >= 0.3, "it was held for as long"
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        begun = time.monotonic()
        until_free(run, 60)
        until_free(tmp_path / "nowhere", 60)
        assert time.monotonic() - begun < 30
        with holding(run, "this one"):
            pass
    finally:
        other.kill()
        other.wait()
        other.stdout.close()  # type: ignore[union-attr]
