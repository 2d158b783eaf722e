"""Ways: what each line of a study of one platform changes in a training, and whether it can be had at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transrec.data.catalog import Catalog
from transrec.data.dataset import Dataset
from transrec.data.splits import split_of
from transrec.errors import DataError, ModelError, SettingsError
from transrec.model import TransRec
from transrec.recipes.fitting import TrainSettings, rehearsed
from transrec.recipes.studies.way_settings import BOTH, CONTENT, IDS, WITHOUT, EncodersSettings, IdentityStudySettings
from transrec.rules import initial_sources

IDENTITY = "identity"
"""The modality of item ids."""
LABELS = {CONTENT: "content", IDS: "ids", BOTH: "content with ids"}


@dataclass(frozen=True, slots=True)
class Way:
    """One way to train a model for a platform.

    Attributes:
        name: as people ask for it.
        label: as tables show it.
        training: the file's, with what this way changes.
        detail: a few words about it, for below the label; may be empty.
        facts: about it, as values that JSON can hold.
    """

    name: str
    label: str
    training: TrainSettings
    detail: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reads_content(self) -> bool:
        """Whether it reads anything but the items' ids."""
        return self.training.model.items.modalities != (IDENTITY,)

    def attempt(self, seed: int, rate: float) -> TrainSettings:
        """The training of this way from a seed, with its learning rates, but for the prior's, multiplied."""
        training = self.training.training.faster(rate).updated({"seed": seed})
        stages = tuple(stage.faster(rate) for stage in self.training.stages)
        return self.training.model_copy(update={"training": training, "stages": stages})


@dataclass(frozen=True, slots=True)
class Size:
    """How large the model of a way is.

    Attributes:
        learning: numbers that training moves, those included that a tuning rule adds.
        parameters: all numbers of the trained model.
        moved: the names of the parameters that learn.
    """

    learning: int
    parameters: int
    moved: frozenset[str]


def encoder_ways(training: TrainSettings, settings: EncodersSettings) -> tuple[Way, ...]:
    """A way for each tuning rule."""
    return tuple(
        Way(rule, rule, training.model_copy(update={"tune": rule}), facts={"tune": rule}) for rule in settings.asked
    )


def identity_ways(
    training: TrainSettings, catalog: Catalog, settings: IdentityStudySettings
) -> tuple[tuple[Way, ...], Mapping[str, str]]:
    """A way for each line, and the lines that cannot be had, each with the reason.

    Raises:
        SettingsError: a line without counts is named, and the file has no prior.
    """
    content = tuple(name for name in training.model.items.named(catalog.modalities) if name != IDENTITY)
    has_counts = training.model.prior != "none"
    lacking = () if has_counts else tuple(name for name in settings.asked if name.endswith(WITHOUT))
    if lacking and "lines" in settings.model_fields_set:
        raise SettingsError(
            f"the model has no prior over counts, so {' and '.join(lacking)} would be the same as without the ending",
            where="model.prior",
            remedy=f"leave {', '.join(lacking)} out of --lines, or take a file whose model.prior is counts",
        )
    ways = tuple(_identity_way(name, training, content) for name in settings.asked if name not in lacking)
    return ways, dict.fromkeys(lacking, "the model has no prior over counts")


def label_of(name: str) -> str:
    """What tables call a line of a study of identity."""
    return LABELS[name.removesuffix(WITHOUT)] + (" without counts" if name.endswith(WITHOUT) else "")


def _identity_way(name: str, training: TrainSettings, content: Sequence[str]) -> Way:
    reads = name.removesuffix(WITHOUT)
    read = (*(content if reads != IDS else ()), *((IDENTITY,) if reads != CONTENT else ()))
    model = training.model.reading(read)
    if name.endswith(WITHOUT):
        model = model.model_copy(update={"prior": "none"})
    changed: dict[str, Any] = {"model": model}
    if reads == IDS:  # a table of ids that rests is noise, and there is nothing else in these encoders
        stages = tuple(stage.model_copy(update={"tune": "full"}) for stage in training.stages)
        changed |= {"tune": "full", "stages": stages}
    own = training.model_copy(update=changed)
    facts = {"reads": list(read), "counts": model.prior != "none", "tune": own.tune}
    return Way(name, label_of(name), own, own.tune, facts)


def require_content(dataset: Dataset, training: TrainSettings) -> None:
    """Say before hours of training that nothing could be learned, chosen or measured, or that there is no content to read.

    Raises:
        DataError: nobody has two training events, or a validation or a test target, or items have nothing that is read.
    """
    split_of(dataset.interactions, training.split).require_trainable()
    items, there = training.model.items, dataset.catalog.modalities
    if not (set(items.named(there)) - {IDENTITY}) & {*there, *items.custom}:
        raise DataError(
            f"items have {', '.join(there)}, and of these the model reads nothing (model.items.modalities: "
            f"{', '.join(items.modalities)})",
            where=str(dataset.folder or dataset.name),
            remedy="name what these items have, or auto, under model.items.modalities, or take another dataset",
        )


def try_out(ways: Sequence[Way], dataset: Dataset) -> Mapping[str, Size]:
    """Build the model of each way and apply its rules without taking a step, so that what cannot be is known beforehand.

    Returns:
        by the name of the way, how large its model is.

    Raises:
        ModelError: a tuning rule or an objective does not fit a model.
        TransRecError: a model cannot be built.
    """
    return {way.name: _tried(way, dataset) for way in ways}


def _tried(way: Way, dataset: Dataset) -> Size:
    settings = way.training
    model = TransRec.build(settings.model, [dataset.catalog], seed=settings.training.seed)
    try:
        became = rehearsed(model, initial_sources(model), settings)
    except ModelError as error:
        also = f", or: {error.remedy}" if error.remedy else ""
        raise ModelError(error.what, where=f"the line {way.name}", remedy=f"leave this line out{also}") from None
    learning = [fate for fate in became if fate.learns]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Size(sum(math.prod(fate.shape) for fate in learning), parameters, frozenset(fate.name for fate in learning))


def require_different(way: Way, size: Size, others: Mapping[str, Size]) -> None:
    """Say when a tuning rule would make the same training as another.

    Args:
        way: with this rule.
        size: of its model.
        others: by the names of other ways, those of theirs.

    Raises:
        SettingsError: both let the same parameters learn; where encoders have nothing that could, all rules do.
    """
    twin = next((name for name, other in others.items() if other.moved == size.moved), None)
    if twin is not None:
        raise SettingsError(
            f"{twin} and {way.name} let the very same {size.learning:,} parameters learn, so that they "
            "would be the same training twice; encoders that have nothing to learn, such as given vectors, are the "
            "same under every rule",
            where="tunes",
            remedy="name other --tunes, or read texts or pictures: model.items.modalities",
        )
