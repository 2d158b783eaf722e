"""How projections start on the platforms that a model is to learn from, before the first step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from transrec.data.batches import ItemBatch
from transrec.evaluation.ranks import ModelRanker, validation_metrics
from transrec.model import TransRec
from transrec.recipes.platform import Platform
from transrec.retrieval.index import CatalogIndex
from transrec.rules import PROJECTIONS, projections_from
from transrec.training.settings import TrainingSettings

CALIBRATION_ITEMS = 2048
"""Items of each platform by which the encoders' vectors are standardised."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """How the projections of a model started.

    Attributes:
        sources: by parameter, where its value comes from now.
        told: a line for people; empty where nothing was chosen.
    """

    sources: Mapping[str, str]
    told: str = ""


def begin(
    model: TransRec, platforms: Sequence[Platform], sources: Mapping[str, str], training: TrainingSettings, *, free: bool
) -> Beginning:
    """Let projections start on these platforms: fresh, as they were copied, or aligned with what was copied.

    Args:
        model: its projections are changed.
        platforms: what is learned from.
        sources: by parameter, where its value comes from.
        training: says by which metric of which users a choice is made, and the seed.
        free: whether copied projections may be aligned, if that ranks the validation users better before any training.
    """
    if not model.settings.items.standardise:
        return Beginning(sources)
    seed = training.seed
    fresh, aligned = (projections_from(sources, kind) for kind in ("fresh", "aligned"))
    copied = [name for name in model.items.projected if name not in (*fresh, *aligned)]
    if fresh:
        model.items.calibrate(_samples(model, platforms, seed), fresh, seed=seed)
    if aligned:
        model.items.align(_samples(model, platforms, seed), aligned)
    if copied:
        model.items.centre(_samples(model, platforms, seed), copied)
    if not free or not copied or model.settings.items.start != "similar":
        return Beginning(sources)
    return _better(model, platforms, sources, training, copied)


def _better(
    model: TransRec,
    platforms: Sequence[Platform],
    sources: Mapping[str, str],
    training: TrainingSettings,
    modalities: Sequence[str],
) -> Beginning:
    """Copied projections as they are, or aligned: what ranks the validation users better now, and as they are when equal."""
    state = {name: tensor.clone() for name, tensor in model.items.projections.state_dict().items()}
    as_copied = mean_validation(model, platforms, users=training.validation_users)[training.metric]
    model.items.align(_samples(model, platforms, training.seed), modalities)
    as_aligned = mean_validation(model, platforms, users=training.validation_users)[training.metric]
    values = f"{training.metric} before training {as_copied:.4f} as copied, {as_aligned:.4f} aligned"
    if as_aligned <= as_copied:
        model.items.projections.load_state_dict(state)
        return Beginning(sources, f"projections as copied: {values}")
    turned = tuple(f"{PROJECTIONS}{name}." for name in modalities)
    changed = {name: "aligned" for name in sources if name.startswith(turned) and not name.endswith(".means")}
    return Beginning({**sources, **changed}, f"projections aligned with the target's items: {values}")


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
