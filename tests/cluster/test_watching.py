"""What is told of workers that failed, and what ends a training."""

from __future__ import annotations

import subprocess
import sys

import pytest

from transrec.cluster.watching import told_of, watching
from transrec.errors import DataError


def test_workers_that_were_lost_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    told_of({1: RuntimeError("\n  the process has ended\nand more"), 0: ValueError()})
    assert capsys.readouterr().err == (
        "lost: worker 0 (ValueError), worker 1 (the process has ended); all start anew and go on from the last checkpoint\n"
    )


def test_what_a_person_has_to_mend_ends_the_training() -> None:
    mistake = DataError("the item is damaged")
    with pytest.raises(DataError, match="the item is damaged"):
        watching().after_exception(None, {0: RuntimeError("collateral"), 1: mistake})


def test_the_controller_imports_nothing_that_trains() -> None:
    code = "import sys, transrec.cluster.watching; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "lance", "polars"} & set(done.stdout.split())
