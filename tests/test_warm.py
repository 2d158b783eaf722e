"""Programs that are forked from a warm process behave as if they had been started."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from warm import Warm

from transrec import __version__

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="warm programs are forked, as Linux does it")


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    server = Warm(tmp_path_factory.mktemp("warm"))
    yield server
    server.close()


def ran(warm: Warm, folder: Path, *words: str, given: str = "", **variables: str) -> tuple[int, str, str]:
    command = [str(warm.programs / words[0]), *words[1:]]
    environment = {**os.environ, **variables}
    done = subprocess.run(command, cwd=folder, env=environment, input=given, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_arguments_folder_environment_and_both_outputs_are_its_own(warm: Warm, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("NAME = 'beside'\n")
    (tmp_path / "told.py").write_text(
        "import os, sys\nimport beside\nprint(__name__, sys.argv[1:], os.getcwd(), os.environ['WORD'], beside.NAME)\n"
        "print('wrong', file=sys.stderr)\nsys.exit(7)\n"
    )
    status, out, err = ran(warm, tmp_path.parent, "python", f"{tmp_path}/told.py", "a b", "c", WORD="hello")
    assert (status, err) == (7, "wrong\n")
    assert out == f"__main__ ['a b', 'c'] {tmp_path.parent} hello beside\n"


def test_code_modules_and_input_run_and_find_what_is_on_the_path(warm: Warm, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "own.py").write_text("print('own', __name__)\n")
    assert ran(warm, tmp_path, "python", "-c", "import own", PYTHONPATH="mine") == (0, "own own\n", "")
    assert ran(warm, tmp_path, "python", "-m", "own", PYTHONPATH="mine") == (0, "own __main__\n", "")
    assert ran(warm, tmp_path, "python", "-", given="print(6 * 7)") == (0, "42\n", "")


def test_the_command_line_and_what_it_refuses(warm: Warm, tmp_path: Path) -> None:
    assert ran(warm, tmp_path, "transrec", "--version") == (0, f"{__version__}\n", "")
    status, out, err = ran(warm, tmp_path, "transrec", "evaluate", "nowhere")
    assert (status, out) == (2, "")
    assert err.startswith("Error: ")


def test_a_traceback_and_a_death_are_told_as_of_any_process(warm: Warm, tmp_path: Path) -> None:
    status, _, err = ran(warm, tmp_path, "python", "-c", "raise ValueError('no')")
    assert status == 1
    assert err.endswith("ValueError: no\n")
    assert ran(warm, tmp_path, "python", "-c", "import os; os.kill(os.getpid(), 9)")[0] == 128 + 9


@pytest.mark.parametrize(("sent", "status", "left"), [(signal.SIGTERM, 5, "asked"), (signal.SIGKILL, -9, None)])
def test_signals_arrive_and_nothing_outlives_whoever_asked(
    warm: Warm, tmp_path: Path, sent: signal.Signals, status: int, left: str | None
) -> None:
    code = (
        "import os, signal, sys, time, pathlib\n"
        "def stop(*_):\n    pathlib.Path('ended').write_text('asked')\n    sys.exit(5)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "pathlib.Path('began').write_text(str(os.getpid()))\ntime.sleep(60)\n"
    )
    process = subprocess.Popen([str(warm.programs / "python"), "-c", code], cwd=tmp_path)
    end = time.monotonic() + 30
    while not (tmp_path / "began").exists() or not (tmp_path / "began").read_text():
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(sent)
    assert process.wait(30) == status
    own = Path("/proc") / (tmp_path / "began").read_text()
    while own.exists():
        assert time.monotonic() < end, "it lives on"
        time.sleep(0.02)
    assert ((tmp_path / "ended").read_text() if (tmp_path / "ended").exists() else None) == left
