"""How projections and tables of ids start on the platforms that a model is to learn from, before the first step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console

from transrec.data.batches import ItemBatch
from transrec.evaluation.ranks import ModelRanker, validation_metrics
from transrec.items.identity import IdentityEncoder
from transrec.model import TransRec
from transrec.recipes.attuning import attune
from transrec.recipes.platform import Platform
from transrec.retrieval.index import CatalogIndex
from transrec.rules import PROJECTIONS, projections_from
from transrec.training.settings import TrainingSettings

CALIBRATION_ITEMS = 2048
"""Items of each platform by which the encoders' vectors are standardised."""


@dataclass(frozen=True, slots=True)
class Choosing:
    """Whether a start is chosen.

    Attributes:
        free: whether copied projections may be aligned, if that ranks the validation users better before any training.
        console: where it is told what was chosen.
    """

    free: bool
    console: Console


def count_ids(model: TransRec, platforms: Sequence[Platform]) -> None:
    """Tell tables of ids how many training events each of their items has."""
    for encoder in model.items.encoders.values():
        if isinstance(encoder, IdentityEncoder):
            for platform in platforms:
                catalog = platform.dataset.catalog
                encoder.count(catalog.ids, platform.split.train_counts(len(catalog)))


def begin(
    model: TransRec,
    platforms: Sequence[Platform],
    sources: Mapping[str, str],
    training: TrainingSettings,
    choosing: Choosing,
) -> dict[str, str]:
    """Let projections start on these platforms: fresh, as they were copied, or aligned with what was copied.

    Args:
        model: its projections are changed.
        platforms: what is learned from.
        sources: by parameter, where its value comes from.
        training: says by which metric of which users a choice is made, and the seed.
        choosing: whether one is.

    Returns:
        by parameter, where its value comes from now.
    """
    if not model.settings.items.standardise:
        return dict(sources)
    seed = training.seed
    fresh, aligned = (projections_from(sources, kind) for kind in ("fresh", "aligned"))
    copied = [name for name in model.items.projected if name not in (*fresh, *aligned)]
    if fresh:
        model.items.calibrate(_samples(model, platforms, seed), fresh, seed=seed)
    if aligned:
        model.items.align(_samples(model, platforms, seed), aligned)
    moved = [name for name in copied if sources.get(f"{PROJECTIONS}{name}.means") != "copy"]
    if moved:
        model.items.centre(_samples(model, platforms, seed), moved)
    if not choosing.free or not copied or model.settings.items.start != "similar":
        return dict(sources)
    better, told = _better(model, platforms, training, copied)
    choosing.console.print(told, highlight=False)
    turned = tuple(f"{PROJECTIONS}{name}." for name in copied) if better == "aligned" else ()
    return {**sources, **{name: better for name in sources if name.startswith(turned) and not name.endswith(".means")}}


def _better(
    model: TransRec, platforms: Sequence[Platform], training: TrainingSettings, modalities: Sequence[str]
) -> tuple[str, str]:
    """Copied projections left or aligned, whichever ranks the validation users better now; left when equal; and a line."""
    state = {name: tensor.clone() for name, tensor in model.items.projections.state_dict().items()}
    attune(platforms, training.seed, model, 0)
    as_copied = mean_validation(model, platforms, users=training.validation_users)[training.metric]
    model.items.align(_samples(model, platforms, training.seed), modalities)
    attune(platforms, training.seed, model, 0)
    as_aligned = mean_validation(model, platforms, users=training.validation_users)[training.metric]
    values = f"{training.metric} before training {as_copied:.4f} as copied, {as_aligned:.4f} aligned"
    if as_aligned > as_copied:
        return "aligned", f"projections aligned with these items: {values}"
    model.items.projections.load_state_dict(state)
    return "copy", f"projections as copied: {values}"


def _samples(model: TransRec, platforms: Sequence[Platform], seed: int) -> Iterator[ItemBatch]:
    for platform in platforms:
        yield from (batch.to(model.device) for batch in platform.store.sample(CALIBRATION_ITEMS, seed=seed))


def mean_validation(model: TransRec, platforms: Sequence[Platform], *, users: int | None) -> Mapping[str, float]:
    """Validation metrics, as the mean over platforms; the test split stays sealed."""
    found = []
    for platform in platforms:
        ranker = ModelRanker(model, CatalogIndex.encode(model, platform.store, platform.counts))
        found.append(validation_metrics(ranker, platform.split, limit=users))
    return {name: sum(metrics[name] for metrics in found) / len(found) for name in found[0]}
