"""`transrec --help` answers at once: nothing heavy is imported before a verb is chosen."""

import resource
import subprocess
import sys

HEAVY = ("torch", "transformers", "accelerate", "lance", "matplotlib", "polars", "scipy")

IMPORTED_BY_HELP = """
import contextlib, sys
sys.argv = ["transrec", "--help"]
from transrec.cli import main
with contextlib.suppress(SystemExit):
    main()
"""
TELL = f"print('imported:', *[name for name in {HEAVY!r} if name in sys.modules])"


def imported_by(code: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", f"{code}\n{TELL}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].removeprefix("imported:").split())


def test_help_imports_nothing_heavy() -> None:
    heavy = imported_by(IMPORTED_BY_HELP)
    assert not heavy, f"`transrec --help` imports {sorted(heavy)}; import them inside the verb's own module"


def test_importing_transrec_alone_is_light() -> None:
    heavy = imported_by("import sys, transrec")
    assert not heavy, f"`import transrec` imports {sorted(heavy)}; the public names have to load when they are asked for"


def test_this_test_sees_what_is_imported() -> None:
    assert "scipy" in imported_by("import sys, scipy")


def test_help_answers_within_a_second() -> None:
    """In seconds of a processor, not of the clock, which also counts what else the machine is doing."""
    seconds = []
    for _ in range(3):
        begun = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-m", "transrec", "--help"], capture_output=True, text=True, check=True)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime)
        assert "train" in done.stdout
        assert "recommend" in done.stdout
    assert min(seconds) < 1.0, f"`transrec --help` took {min(seconds):.2f} s of a processor; see -X importtime"
