"""``transrec train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from transrec.errors import SettingsError
from transrec.recipes.continuing import ContinueSettings, carry_on
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
    source: Annotated[Path | None, Parameter(name="--from")] = None,
    continuing: ContinueSettings | None = None,
    settings: Annotated[TrainSettings, Parameter(name="*")] = TrainSettings(),  # noqa: B008
) -> None:
    """Train a model from scratch on one dataset or several, or go on with newer data of a run's platform.

    Encoders are pre-trained ones of the Hugging Face hub, or folders: ``--model.items.text.backbone FOLDER``. A flag counts
    before the file of ``--config``, and both before the defaults.

    Args:
        data: dataset folders that `transrec ingest` made; the run recommends from the first.
        out: the run folder to make.
        config: a YAML file of the settings below.
        resume: go on with an interrupted training in the run folder.
        source: a run of the same platform to go on from; the dataset is the platform as it is now.
        continuing: how to go on from it.
        settings: the model and how it learns.
    """
    if source is None:
        if continuing is not None:
            raise SettingsError(
                "these settings are for going on from a run", where="continuing", remedy="name the run: --from RUN"
            )
        train_recipe(data, settings, out, resume=resume)
    elif len(data) > 1:
        raise SettingsError(
            f"a run goes on with the data of one platform, {len(data)} are given",
            where="--from",
            remedy="give the dataset of its platform as it is now",
        )
    else:
        carry_on(source, data[0], settings, out, continuing=continuing, resume=resume)
    next_steps(
        f"transrec evaluate {out}",
        f"transrec report {out}",
        f"transrec recommend {out} --history ITEM,ITEM",
        f"transrec transfer {out} OTHER_DATA --out RUN2",
    )
