"""kill -9, at any moment: going on ends with the same weights, optimiser states and numbers as if nothing had happened."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from killing_ground import KILLED, Ground

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")

POINTS = {
    "while the store is prepared": ("transrec.data.filling:Filling.finish", 1, "before"),
    "before the first state": ("transrec.training.checkpoint:save_checkpoint", 1, "before"),
    "while a state is written": ("transrec.training.checkpoint:seal", 9, "before"),
    "between a step and its state": ("transrec.training.finite:FiniteWatch.allows", 12, "after"),
    "in a validation": ("transrec.recipes.lesson:mean_validation", 3, "before"),
    "while the run is written": ("transrec.runs:write_whole", 4, "after"),
}
"""Where a process kills itself: the function, the how manieth call, before it or after."""


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    made = Ground(tmp_path_factory.mktemp("kills"))
    assert made.start("whole").wait(300) == 0, made.told("whole")
    return made


@pytest.mark.parametrize("name", POINTS)
def test_a_killed_training_ends_as_if_nothing_had_happened(ground: Ground, name: str) -> None:
    own = name.replace(" ", "-")
    place, call, moment = POINTS[name]
    assert ground.start(own, place, call, moment=moment).wait(300) == KILLED, ground.told(own)
    assert ground.start(own, resume=True).wait(300) == 0, ground.told(own)
    assert ground.outcome(own) == ground.outcome("whole")
    shutil.rmtree(ground.folder / own)


@pytest.mark.slow
def test_a_hundred_kills_at_random_moments(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    """Every training is killed again and again, three times as a rule, until it comes to its end by itself."""
    seed = time.time_ns()
    generator = np.random.default_rng(seed)
    began = time.monotonic()
    assert ground.start("timed").wait(300) == 0
    whole = time.monotonic() - began
    kills = trainings = 0
    while kills < 100:
        own = f"random{trainings}"
        for _ in range(3):
            resume = (ground.folder / own / "run").exists()
            process = ground.start(own, resume=resume)
            try:
                assert process.wait(float(generator.uniform(0.2, 0.9)) * whole) == 0, ground.told(own)
                break  # the machine was quicker than it had been
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
        began = time.monotonic()
        resume = (ground.folder / own / "run").exists()
        assert ground.start(own, resume=resume).wait(300) == 0, ground.told(own)
        whole = min(whole, 1.5 * (time.monotonic() - began))
        assert ground.outcome(own) == ground.outcome("whole"), f"{ground.told(own)}\nseed {seed}"
        shutil.rmtree(ground.folder / own)
        trainings += 1
    with capsys.disabled():
        print(f"\n{kills} kills in {trainings} trainings of {whole:.1f} s, all with the outcome of an undisturbed one")
