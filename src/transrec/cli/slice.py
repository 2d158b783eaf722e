"""``transrec slice``."""

from __future__ import annotations

from pathlib import Path

from transrec.recipes.showing import next_steps
from transrec.recipes.slice import slice as slice_recipe


def slice(run: Path, /, *, width: int, out: Path, index_only: bool = False) -> None:  # noqa: A001  (the verb is called so)
    """Make a smaller run out of a run, without training: its vectors are the first numbers of the run's.

    A run that was trained with `model.items.nested` and `objective.matryoshka.sizes` holds a whole model at each of its
    widths. Of any other run the first numbers can be compared alone with `--index-only`: search reads less, users are read
    as before.

    Args:
        run: the run folder.
        width: how many numbers.
        out: the run folder to make.
        index_only: leave the model as it is, and compare the first numbers alone.
    """
    slice_recipe(run, width, out, index_only=index_only)
    next_steps(f"transrec evaluate {out}", f"transrec index {out}", f"transrec serve {out}")
