"""kill -9, at any moment: going on ends with the same weights, optimiser states and numbers as if nothing had happened."""

from __future__ import annotations

import shutil
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
    "in a validation": ("transrec.recipes.fitting:mean_validation", 3, "before"),
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
    """Every training is killed again and again until it comes to its end by itself."""
    generator = np.random.default_rng(time.time_ns())
    began = time.monotonic()
    assert ground.start("timed").wait(300) == 0
    whole = time.monotonic() - began
    kills = trainings = 0
    while kills < 100:
        own, resume = f"random{trainings}", False
        while True:
            process = ground.start(own, resume=resume)
            try:
                code = process.wait(float(generator.uniform(0.3, 1.3)) * whole)
                assert code == 0, ground.told(own)
                break
            except Exception as error:
                if process.poll() is not None:
                    raise
                del error
                process.kill()
                process.wait()
                kills += 1
                resume = (ground.folder / own / "run").exists()
        assert ground.outcome(own) == ground.outcome("whole"), ground.told(own)
        shutil.rmtree(ground.folder / own)
        trainings += 1
    with capsys.disabled():
        print(f"\n{kills} kills in {trainings} trainings of {whole:.1f} s, all with the outcome of an undisturbed one")
