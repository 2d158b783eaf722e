"""``transrec demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from transrec.recipes.demo import demo as demo_recipe
from transrec.recipes.demo_runs import DemoSettings


def demo(
    *,
    out: Path = Path("demo"),
    seed: int = 0,
    overwrite: bool = False,
    settings: Annotated[DemoSettings, Parameter(name="*")] = DemoSettings(),  # noqa: B008
) -> None:
    """Watch the whole path on a small built-in world: pre-train, transfer, compare, recommend.

    Takes about five minutes on two cores, needs no download, and leaves datasets and runs to play with.

    Args:
        out: a folder for what it writes.
        seed: of the world and of everything that is learned; another one gives another world.
        overwrite: take away what an earlier demo left there.
        settings: how long it learns.
    """
    demo_recipe(out, settings, seed=seed, overwrite=overwrite)
