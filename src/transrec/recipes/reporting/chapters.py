"""Chapters: what a report says of one run, with what needs its dataset and its model where these can be had."""

from __future__ import annotations

from pathlib import Path

from transrec.data.dataset import Dataset
from transrec.data.store import Progress
from transrec.errors import TransRecError
from transrec.recipes.reporting.model_parts import Encoded
from transrec.recipes.reporting.settings import ReportSettings
from transrec.reports.card import Card
from transrec.reports.chapter import Chapter
from transrec.reports.commands import reporting, resuming
from transrec.reports.files import RunFiles
from transrec.reports.missing import Missing
from transrec.reports.people import People
from transrec.reports.places import Map
from transrec.runs import open_run_data


def chapter_of(
    run: RunFiles,
    settings: ReportSettings,
    *,
    slug: str,
    data: str | Path | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Chapter:
    """The chapter of a run.

    Args:
        run: its files.
        settings: what is shown.
        slug: what the ids of the chapter begin with.
        data: another dataset than the one that the run records.
        device: where the model runs.
        progress: told how far the encoding of the catalog is.

    Raises:
        DataError: there is no column to colour by of the name that was asked for.
    """
    try:
        dataset = open_run_data(run.folder, data)
    except TransRecError as error:
        missing = Missing.because(error, command=reporting(run, "--data", "DATA"))
        return Chapter.of(slug, run, card=missing, places=missing, people=missing)
    if settings.colour_by:
        dataset.catalog.column(settings.colour_by)  # a name that is not there is told before any work
    places, people = _model_parts(run, dataset, settings, device=device, progress=progress)
    return Chapter.of(slug, run, card=Card.of(dataset, name=slug), places=places, people=people)


def _model_parts(
    run: RunFiles, dataset: Dataset, settings: ReportSettings, *, device: str, progress: Progress | None
) -> tuple[Map | Missing, People | Missing]:
    """The map and the users, or why they are not there."""
    if not run.ended:
        missing = Missing("The weights in the folder are those that training began with.", resuming(run))
        return missing, missing
    try:
        encoded = Encoded.of(run, dataset, device=device, progress=progress)
    except TransRecError as error:
        missing = Missing.because(error)
        return missing, missing
    people = encoded.people(settings) if settings.users else Missing("No users were asked for.", reporting(run))
    return encoded.map(settings), people
