"""Kinds of target: does a run help a platform of texts, of pictures, of either (TransRec, arXiv 2206.06190), of both?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.folders import made_once, require_place
from transrec.data.kinds import KINDS, Kind, obstacle, of_kind, version_digest
from transrec.errors import DataError, RunError
from transrec.recipes.compare import compare
from transrec.recipes.comparing.bench import Bench
from transrec.recipes.comparing.report import Comparison
from transrec.recipes.studies.settings import KindsSettings
from transrec.recipes.studies.study import Line, Study, folder_name
from transrec.recipes.studies.tables import DOCUMENT, keep, tell

READ: Mapping[Kind, tuple[str, ...]] = {
    "mixed": ("text", "image"),
    "text": ("text",),
    "image": ("image",),
    "both": ("text", "image"),
}
"""Of what a run has to read something, for a version of this kind to mean anything to it."""


def study_kinds(
    run: str | Path,
    data: str | Path | Dataset,
    settings: KindsSettings | None = None,
    out: str | Path | None = None,
    *,
    console: Console | None = None,
) -> Study:
    """Compare on versions of one target that differ in what its items have.

    All versions have the same users, events and candidates. What is done is found again, what is interrupted goes on.

    Args:
        run: the run that would be transferred.
        data: the target: a dataset folder, or a dataset in memory.
        settings: which kinds, rows and seeds, and how sure one wants to be.
        out: a folder for the table, the figure, the versions and the comparisons; ``RUN/study/<dataset>`` when None.
        console: where tables go; standard output when None.

    Returns:
        everything that was found.

    Raises:
        RunError: the folder is not a run, it has learned from the target, or it reads nothing of a kind that was named.
        DataError: the target has nothing of a kind that was named, or nothing can be written.
        EvaluationError: no test target is left.
    """
    told_to, settings = console or Console(highlight=False), settings or KindsSettings()
    dataset = data if isinstance(data, Dataset) else Dataset.open(data)
    folder = Path(out) if out is not None else Path(run) / "study" / folder_name(dataset.name)
    require_place(folder / DOCUMENT)
    asked = settings.of_compare()
    bench = Bench.open(Path(run), dataset, asked)
    kinds, left_out = _possible(bench, settings)
    lines = []
    for kind in kinds:
        told_to.rule(f"{kind}: {KINDS[kind]}")
        version = kept_version(dataset, kind, folder / "data", seed=settings.mix_seed)
        comparison = compare(run, version, asked, folder / "compare" / kind, jobs=folder / "jobs", console=told_to)
        lines.append(_line(kind, comparison))
    study = Study(
        name="kinds",
        title=f"{bench.run.resolve().name} on {dataset.name}, by what its items have",
        column="kind",
        lines=tuple(lines),
        metric=settings.metric,
        alpha=settings.alpha,
        notes=_notes(bench, lines),
        left_out=left_out,
    )
    keep(study, folder)
    tell(study, folder, told_to)
    return study


def kept_version(dataset: Dataset, kind: Kind, folder: Path, *, seed: int = 0) -> Dataset:
    """The version of a dataset, made now if it is not in the folder.

    On disk its content is prepared and encoded once for all models; in memory every one of them would do that again.

    Raises:
        DataError: the platform has nothing of the kind.
    """
    if kind == "both":
        return dataset
    place = folder / f"{kind}-{version_digest(dataset, kind, seed)}"

    def make(building: Path) -> None:
        of_kind(dataset, kind, seed=seed).save(building)

    return Dataset.open(made_once(place, make))


def _possible(bench: Bench, settings: KindsSettings) -> tuple[list[Kind], dict[str, str]]:
    """The kinds that can be had, and the others, each with the reason; one that was named by a person is an error."""
    named, reads = "kinds" in settings.model_fields_set, tuple(bench.model.items.encoders)
    possible: list[Kind] = []
    left_out: dict[str, str] = {}
    for kind in (known for name in settings.kinds for known in READ if known == name):
        lacking = obstacle(bench.dataset, kind)
        blind = "" if set(READ[kind]) & set(reads) or kind == "both" else f"the run reads {', '.join(reads)} alone"
        if named and lacking:
            raise DataError(f"{lacking}, so there is no kind {kind!r}", where=bench.dataset.name, remedy=_remedy(kind))
        if named and blind:
            raise RunError(f"{blind}, and so nothing of the kind {kind!r}", where=str(bench.run), remedy=_remedy(kind))
        if lacking or blind:
            left_out[kind] = lacking or blind
        else:
            possible.append(kind)
    if not possible:
        raise RunError(
            "no kind is left: " + "; ".join(f"{kind}: {why}" for kind, why in left_out.items()),
            where=str(bench.run),
            remedy="study a run that reads texts or pictures, on a target that has them",
        )
    return possible, left_out


def _remedy(kind: Kind) -> str:
    return f"leave {kind} out of --kinds, which has {', '.join(KINDS)}"


def _line(kind: Kind, comparison: Comparison) -> Line:
    bench = comparison.bench
    blank_V = _blank(bench)
    targets = bench.whole.interactions.rows[bench.whole.test.positions]
    presence = bench.dataset.catalog.presence
    last = f"{int(blank_V.sum()):,} last" if blank_V.any() else ""
    facts = {
        "dataset": bench.dataset.name,
        "fingerprint": bench.dataset.fingerprint,
        "items": len(blank_V),
        "items_with_text": int(presence["text"].sum()),
        "items_with_picture": int(presence["image"].sum()),
        "items_that_rank_last": int(blank_V.sum()),
        "targets_that_rank_last": int(blank_V[targets].sum()),
    }
    return Line(kind, last, comparison, f"compare/{kind}", facts=facts)


def _blank(bench: Bench) -> np.ndarray:
    """Which items have nothing that the run reads, bool (V,); they rank after all others."""
    presence, names = bench.dataset.catalog.presence, bench.content
    readable_V = np.zeros(len(bench.dataset.catalog), dtype=bool)
    for name in names:
        readable_V |= presence.get(name, True)  # an encoder of one's own may read what no column tells of
    return ~readable_V


def _notes(bench: Bench, lines: list[Line]) -> tuple[str, ...]:
    size = len(bench.dataset.catalog)
    counted = {line.label: line.comparison.findings.targets for line in lines}
    same = f"all versions have the same {len(bench.whole.test):,} test targets and the same {size:,} candidates"
    if len(set(counted.values())) > 1:
        each = ", ".join(f"{label} {targets:,}" for label, targets in counted.items())
        same = f"what is shared with the source differs by version and is taken out, so test targets differ: {each}"
    notes = [
        same,
        *(
            f"{line.label}: {line.facts['items_that_rank_last']:,} of {size:,} items have nothing that the run reads and "
            f"rank last in rows that read content, among them {line.facts['targets_that_rank_last']:,} test targets"
            for line in lines
            if line.facts["items_that_rank_last"]
        ),
    ]
    if any(line.label != "both" for line in lines) and set(bench.dataset.catalog.modalities) - {"text", "image"}:
        notes.append("given vectors are in the kind both alone")
    return tuple(notes)
