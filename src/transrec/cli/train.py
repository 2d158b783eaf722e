"""``transrec train``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from transrec.cluster.asked import Cluster
from transrec.cluster.training import train_on
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
    cluster: str | None = None,
    workers: int | None = None,
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
        cluster: machines joined by Ray: local for this one, auto for the cluster that it is a node of, or HOST:PORT.
        workers: of --cluster: how many processes train, each with a GPU or a CPU.
        settings: the model and how it learns.
    """
    asked = Cluster.asked(cluster, workers)
    if source is None:
        if continuing is not None:
            raise SettingsError(
                "these settings are for going on from a run", where="continuing", remedy="name the run: --from RUN"
            )
        do = partial(train_on, asked) if asked else train_recipe
        do(data, settings, out, resume=resume)
    elif asked or len(data) > 1:
        raise SettingsError(
            "a run goes on on one machine"
            if asked
            else f"a run goes on with the data of one platform, {len(data)} are given",
            where="--from",
            remedy="leave --cluster out" if asked else "give the dataset of its platform as it is now",
        )
    else:
        carry_on(source, data[0], settings, out, continuing=continuing, resume=resume)
    next_steps(
        f"transrec evaluate {out}",
        f"transrec report {out}",
        f"transrec recommend {out} --history ITEM,ITEM",
        f"transrec transfer {out} OTHER_DATA --out RUN2",
    )
