"""Widths: what a run is worth, what it takes, and how fast it is, at each of the widths that it can be cut to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.splits import split_of
from transrec.errors import SettingsError
from transrec.model import TransRec
from transrec.recipes.studies.settings import WidthsSettings
from transrec.recipes.studies.study import folder_name
from transrec.recipes.studies.width_lines import How, WidthGround, WidthLine, WidthStudy
from transrec.recipes.studies.width_tables import keep, tell
from transrec.rules.slicing import compared, sliced
from transrec.runs import RunRecord, open_run_data


def study_widths(
    run: str | Path,
    data: str | Path | Dataset | None = None,
    settings: WidthsSettings | None = None,
    out: str | Path | None = None,
    *,
    console: Console | None = None,
) -> WidthStudy:
    """Measure a run at each of its widths; nothing is trained, and nothing but table and figure is written.

    Args:
        run: the run folder.
        data: a dataset folder, or a dataset in memory; the run's own when None.
        settings: which widths, which targets, and how sure one wants to be.
        out: a folder for table and figure; ``RUN/study/<dataset>/widths`` when None.
        console: where the table goes; standard output when None.

    Returns:
        everything that was found.

    Raises:
        RunError: the folder is not a run, or its data has moved or changed.
        SettingsError: there is no smaller width.
        EvaluationError: there are no targets.
    """
    told_to, settings = console or Console(highlight=False), settings or WidthsSettings()
    record, dataset = RunRecord.read(run), data if isinstance(data, Dataset) else open_run_data(run, data)
    split, model = split_of(dataset.interactions, record.split), TransRec.load(run)
    widths = widths_of(model, record, settings.widths)
    ground = WidthGround(dataset, split, record.place_of(dataset), settings)
    whole, whole_E = ground.line("whole", model, None)
    lines: list[WidthLine] = []
    for width in widths:
        how, own = model_at(model, width)
        lines.append(ground.line(how, own, whole_E)[0])
    study = WidthStudy(
        title=f"{Path(run).resolve().name} on {dataset.name}, by width",
        metric=settings.metric,
        part=settings.part,
        targets=len(ground.targets),
        lines=(*lines, whole),
        settings=settings.model_dump(mode="json"),
    )
    folder = Path(out) if out is not None else Path(run) / "study" / folder_name(dataset.name) / "widths"
    keep(study, folder)
    tell(study, folder, told_to)
    return study


def widths_of(model: TransRec, record: RunRecord, given: Sequence[int] = ()) -> list[int]:
    """The widths to look at below the whole, increasing: those that are given, nested, or were taught.

    Raises:
        SettingsError: there is none.
    """
    whole = model.scorer.reads or model.items.width
    taught = record.objective.get("matryoshka", {}).get("sizes", [])
    found = sorted({width for width in given or model.users.nested or taught if width < whole})
    if not found:
        raise SettingsError(
            f"there is no width below the {whole} of this run to look at",
            where="widths",
            remedy=f"name some: --widths {max(1, whole // 4)},{max(1, whole // 2)}",
        )
    return found


def model_at(model: TransRec, width: int) -> tuple[How, TransRec]:
    """The model at a smaller width: a slice where it is nested there, else itself with its first numbers compared alone."""
    nested = width in model.users.nested and not model.scorer.reads
    return ("slice", sliced(model, width)[0]) if nested else ("index", compared(model, width).eval())
