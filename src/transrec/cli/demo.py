"""``transrec demo``."""

from __future__ import annotations

from pathlib import Path

from transrec.recipes.demo import demo as demo_recipe
from transrec.recipes.demo_runs import DemoSettings


def demo(*, out: Path = Path("demo"), seed: int = 0, scale: float = 1.0, overwrite: bool = False) -> None:
    """Watch the whole path on a small built-in world: pre-train, transfer, compare, recommend.

    Takes two to seven minutes on two cores, needs no download, and leaves datasets and runs to play with.

    Args:
        out: a folder for what it writes.
        seed: of the world and of everything that is learned; another one gives another world.
        scale: multiplies the 3,000 users of the source, and so the time of the pre-training.
        overwrite: take away what an earlier demo left there.
    """
    demo_recipe(out, DemoSettings.from_mapping({"scale": scale}, where="demo"), seed=seed, overwrite=overwrite)
