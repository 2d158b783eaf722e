"""A folder that one process writes at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from transrec.data.holding import LOCK, holding
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
