"""``transrec train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from transrec.recipes.fitting import TrainSettings
from transrec.recipes.showing import next_steps
from transrec.recipes.train import train as train_recipe


def train(
    data: list[Path],
    /,
    *,
    out: Path,
    config: Path | None = None,
    resume: bool = False,
    settings: Annotated[TrainSettings, Parameter(name="*")] = TrainSettings(),  # noqa: B008
) -> None:
    """Train a model from scratch on one dataset or several.

    Encoders are pre-trained ones of the Hugging Face hub, or folders: ``--model.items.text.backbone FOLDER``. A flag counts
    before the file of ``--config``, and both before the defaults.

    Args:
        data: dataset folders that `transrec ingest` made; the run recommends from the first.
        out: the run folder to make.
        config: a YAML file of the settings below.
        resume: go on with an interrupted training in the run folder.
        settings: the model and how it learns.
    """
    train_recipe(data, settings, out, resume=resume)
    next_steps(
        f"transrec evaluate {out}",
        f"transrec report {out}",
        f"transrec recommend {out} --history ITEM,ITEM",
        f"transrec transfer {out} OTHER_DATA --out RUN2",
    )
