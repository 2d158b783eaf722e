"""``transrec study``: the comparisons of the paper, each one table and one figure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from transrec.errors import SettingsError
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.studies.encoders import study_encoders
from transrec.recipes.studies.fractions import study_fractions
from transrec.recipes.studies.identity import study_identity
from transrec.recipes.studies.kinds import study_kinds
from transrec.recipes.studies.settings import FractionsSettings, KindsSettings, SourcesSettings, WidthsSettings
from transrec.recipes.studies.sources import study_sources
from transrec.recipes.studies.way_settings import EncodersSettings, IdentityStudySettings
from transrec.recipes.studies.widths import study_widths

study = App(name="study")


@study.command
def encoders(
    data: list[Path],
    /,
    *,
    config: Path,
    out: Path | None = None,
    training: Annotated[TrainSettings, Parameter(name="*")] = TrainSettings(),  # noqa: B008
    settings: Annotated[EncodersSettings, Parameter(name="*", negative_iterable=())] = EncodersSettings(),  # noqa: B008
) -> None:
    """What is it worth to let encoders learn, and how much of them? One platform, from scratch with each tuning rule.

    Every rule is held against the first that is named; learning rates are chosen on validation, then the test split is
    opened. What is done is found again; interrupted, the same command goes on.

    Args:
        data: the dataset folder of the platform.
        config: a YAML file of the settings below, as for `transrec train`; its tune gives way to the rules.
        out: a folder for the results; study-DATASET/encoders when not given.
        training: the model and how it learns.
        settings: which rules, how often, and how sure.
    """
    study_encoders(_alone(data), training, settings, out)


@study.command
def identity(
    data: list[Path],
    /,
    *,
    config: Path,
    out: Path | None = None,
    training: Annotated[TrainSettings, Parameter(name="*")] = TrainSettings(),  # noqa: B008
    settings: Annotated[IdentityStudySettings, Parameter(name="*", negative_iterable=())] = IdentityStudySettings(),  # noqa: B008
) -> None:
    """What do item ids bring that content does not, and the other way round? One platform, from content, ids, and both.

    Every line is held against content, with counts and without; learning rates are chosen on validation, then the test split
    is opened. What is done is found again; interrupted, the same command goes on.

    Args:
        data: the dataset folder of the platform.
        config: a YAML file of the settings below, as for `transrec train`.
        out: a folder for the results; study-DATASET/identity when not given.
        training: the model and how it learns.
        settings: which lines, how often, and how sure.
    """
    study_identity(_alone(data), training, settings, out)


@study.command
def kinds(
    run: Path,
    /,
    *,
    data: Path,
    out: Path | None = None,
    config: Path | None = None,
    settings: Annotated[KindsSettings, Parameter(name="*", negative_iterable=())] = KindsSettings(),  # noqa: B008
) -> None:
    """Does a run help a platform of texts, of pictures, of either, of both? One comparison for each, on the same events.

    Versions of the target are made whose items have only their text, only their picture, or one of the two at random; on
    each of them everything is done as by `transrec compare`, which opens the test split. What is done is found again;
    interrupted, the same command goes on.

    Args:
        run: the run that would be transferred.
        data: the dataset folder of the target platform.
        out: a folder for the results; RUN/study/DATASET when not given.
        config: a YAML file of the settings below.
        settings: which kinds and rows, how often, and how sure.
    """
    study_kinds(run, data, settings, out)


@study.command
def sources(
    data: list[Path],
    /,
    *,
    target: Path,
    config: Path,
    out: Path | None = None,
    training: Annotated[TrainSettings, Parameter(name="*")] = TrainSettings(),  # noqa: B008
    settings: Annotated[SourcesSettings, Parameter(name="*", negative_iterable=())] = SourcesSettings(),  # noqa: B008
) -> None:
    """How many users of a source does it take? A run for each share of them, compared on the same target.

    Everything on the target is done as by `transrec compare`, which opens the test split; from scratch is trained there once
    for all shares. What is done is found again; interrupted, the same command goes on.

    Args:
        data: the dataset folders of the sources.
        target: the dataset folder of the target platform.
        config: a YAML file of the settings below, as for `transrec train`.
        out: a folder for the results; study-TARGET when not given.
        training: the model and how it learns, from the sources and then from the target.
        settings: which shares, how often, and how sure.
    """
    study_sources(data, target, training, settings, out)


@study.command
def fractions(
    run: Path,
    /,
    *,
    data: Path,
    out: Path | None = None,
    config: Path | None = None,
    settings: Annotated[FractionsSettings, Parameter(name="*", negative_iterable=())] = FractionsSettings(),  # noqa: B008
) -> None:
    """How much of a run's weights should a target start from? One comparison for each share, beside copying them whole.

    Weights of some parts start fresh with a share of the run's added, by `--rules 'PATTERN=fraction(OMEGA)'` of `transrec
    transfer`; everything else is as by `transrec compare`, which opens the test split. What is done is found again;
    interrupted, the same command goes on.

    Args:
        run: the run that would be transferred.
        data: the dataset folder of the target platform.
        out: a folder for the results; RUN/study/DATASET/fractions when not given.
        config: a YAML file of the settings below.
        settings: which shares of which parts, how often, and how sure.
    """
    study_fractions(run, data, settings, out)


@study.command
def widths(
    run: Path,
    /,
    *,
    data: Path | None = None,
    out: Path | None = None,
    config: Path | None = None,
    settings: Annotated[WidthsSettings, Parameter(name="*", negative_iterable=())] = WidthsSettings(),  # noqa: B008
) -> None:
    """What is a run worth at a smaller width, what does it take, and how fast is it? One training, one table.

    At the widths that the run is nested at it is sliced as by `transrec slice`; at others its first numbers alone are
    compared, as by `transrec slice --index-only`. Validation targets are ranked unless the test is asked for.

    Args:
        run: the run folder.
        data: a dataset folder; the run's own when not given.
        out: a folder for the results; RUN/study/DATASET/widths when not given.
        config: a YAML file of the settings below.
        settings: which widths, which targets, and how sure.
    """
    study_widths(run, data, settings, out)


def _alone(data: list[Path]) -> Path:
    """The one platform of a study whose lines may know items by their ids, or are to be told apart by nothing else.

    Raises:
        SettingsError: several are given.
    """
    if len(data) > 1:
        raise SettingsError(
            f"this study is of one platform, {len(data)} are given; ids of items mean something on their own platform alone",
            where="DATA",
            remedy="name one dataset; a study for each platform, with another --out, tells whether they agree",
        )
    return data[0]
