"""Bench: what all rows of a comparison have in common, read once from the run and the target."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from transrec.data.dataset import Dataset
from transrec.data.splits import Split, SplitSettings, split_of
from transrec.errors import RunError
from transrec.items.features import FeatureEncoder
from transrec.items.identity import IdentityEncoder
from transrec.items.image import ImageEncoder
from transrec.items.settings import ItemSettings
from transrec.items.text import TextEncoder
from transrec.model import ModelSettings, TransRec
from transrec.objectives import ObjectiveSettings
from transrec.recipes.comparing.backbones import placed
from transrec.recipes.comparing.settings import CompareSettings
from transrec.recipes.stages import StageSettings
from transrec.rules import without
from transrec.runs import RunRecord
from transrec.settings import merged
from transrec.training.settings import TrainingSettings
from transrec.training.trainer import resolve_device
from transrec.weights import WEIGHTS

BUILT_IN = (TextEncoder, ImageEncoder, FeatureEncoder, IdentityEncoder)
"""Encoders that settings build; others are named in the settings, or were given as parts."""


@dataclass(frozen=True, eq=False)
class Bench:
    """A run, a target, and how every row is trained and split.

    Attributes:
        run: the folder of the source run.
        record: how it came to be.
        source: the run's model, on the device that is trained on.
        dataset: the target.
        objective: of trained rows.
        training: likewise; seed and length are the job's.
        stages: trainings that come before in trained rows.
        split: of the target, with all users.
        fresh: settings of models from scratch: the run's, with encoders read from where they are now.
    """

    run: Path
    record: RunRecord
    source: TransRec
    dataset: Dataset
    objective: ObjectiveSettings
    training: TrainingSettings
    stages: tuple[StageSettings, ...]
    split: SplitSettings
    fresh: ModelSettings

    @classmethod
    def open(cls, run: Path, dataset: Dataset, settings: CompareSettings) -> Bench:
        """Read a run and put the settings that were given over those that it was trained with.

        Raises:
            RunError: the folder is not a run, or it has learned from this dataset.
            SettingsError: encoders were named that the run does not have.
        """
        record = RunRecord.read(run)
        require_elsewhere(record, dataset, run)
        given = settings.model_dump(mode="json", exclude_unset=True)
        split = merged(record.split.model_dump(mode="json", exclude={"users", "users_seed"}), given.get("split", {}))
        training = TrainingSettings.from_mapping(merged(record.training, given.get("training", {})), where="training")
        stages = given.get("stages", record.stages)
        source = TransRec.load(run, device=resolve_device(training.device))
        return cls(
            run=run,
            record=record,
            source=source,
            dataset=dataset,
            objective=ObjectiveSettings.from_mapping(
                merged(record.objective, given.get("objective", {})), where="objective"
            ),
            training=training,
            stages=tuple(StageSettings.from_mapping(stage, where="stages") for stage in stages),
            split=SplitSettings.from_mapping(split, where="split"),
            fresh=placed(source, settings.backbones),
        )

    @functools.cached_property
    def model(self) -> TransRec:
        """The run's model as rows have it: where it reads content, without a table of its own platform's item ids.

        Such a table means nothing on another platform. With a fresh one transferred would read ids beside the content, and
        from scratch would not.
        """
        return without(self.source, ["identity"]) if self.dropping else self.source

    @property
    def dropping(self) -> tuple[str, ...]:
        """The rule by which transferred rows leave the table of ids out; empty where there is none, or nothing else."""
        return ("items.encoders.identity.*=drop",) if self.knows_identities and self.content else ()

    @property
    def device(self) -> torch.device:
        """Where everything is trained and ranked."""
        return self.source.device

    @functools.cached_property
    def whole(self) -> Split:
        """The target's split with all users."""
        return split_of(self.dataset.interactions, self.split)

    @property
    def content(self) -> tuple[str, ...]:
        """What the run reads of items and the target has, without their identity."""
        there = {*self.dataset.catalog.modalities, *self.source.settings.items.custom}
        return tuple(name for name in self.source.items.encoders if name in there and name != "identity")

    @property
    def unread(self) -> tuple[str, ...]:
        """What the target has and the run does not read, so that no row of the run's form can."""
        return tuple(name for name in self.dataset.catalog.modalities if name not in self.model.items.encoders)

    @property
    def knows_identities(self) -> bool:
        """Whether the run has a table of its own platform's item ids."""
        return "identity" in self.source.items.encoders

    @property
    def counts(self) -> bool:
        """Whether the run has a prior over counts."""
        return self.model.prior is not None

    @property
    def encoders_learn(self) -> bool:
        """Whether an encoder of content has anything that could learn."""
        return any(any(True for _ in self.model.items.encoders[name].parameters()) for name in self.content)

    @property
    def parts(self) -> tuple[str, ...]:
        """Encoders that were given to the run as parts, which no settings can build again."""
        named = self.model.settings.items.custom
        encoders = self.model.items.encoders.items()
        return tuple(name for name, encoder in encoders if type(encoder) not in BUILT_IN and name not in named)

    @functools.cached_property
    def run_digest(self) -> str:
        """Changes with anything that transferred and zero-shot rows take from the run."""
        files = [self.run / WEIGHTS, *_files_below(self.run / "encoders")]
        return (
            _digest_of_files(self.run, files)
            + hashlib.blake2b(self.model.settings.model_dump_json().encode(), digest_size=8).hexdigest()
        )

    @functools.cached_property
    def backbones_digest(self) -> dict[str, Any]:
        """Changes with the folders that fresh encoders are read from; those of the hub are known by their names."""
        return backbones_digest(self.fresh.items, self.content)


def backbones_digest(items: ItemSettings, content: Collection[str] | None = None) -> dict[str, str]:
    """Changes with the folders and files that fresh encoders are read from; those of the hub are known by their names.

    Args:
        items: name them.
        content: the modalities that count; all when None.
    """
    named = {"text": items.text.backbone, "image": items.image.backbone}
    named |= {
        f"{name}.{option}": value for name, options in items.custom_options.items() for option, value in options.items()
    }
    found = {}
    for name, place in named.items():
        path = Path(place).expanduser()
        if not place or (content is not None and name.split(".")[0] not in content):
            continue
        if path.is_dir():
            found[name] = _digest_of_files(path, _files_below(path))
        elif path.is_file():
            found[name] = _digest_of_files(path.parent, [path])
    return found


def require_elsewhere(record: RunRecord, dataset: Dataset, run: Path) -> None:
    """Raise a RunError when a run has learned from a dataset: then there is nothing to transfer.

    Raises:
        RunError: see above.
    """
    here = str(dataset.folder.resolve()) if dataset.folder else None
    for source in (*record.data, *record.ancestors):
        if source.fingerprint == dataset.fingerprint or (here and source.path == here):
            raise RunError(
                f"this run has learned from {source.name!r} itself, so nothing would be transferred",
                where=str(run),
                remedy="compare with another platform as --data; to measure the run at home: transrec evaluate " + str(run),
            )


def _files_below(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _digest_of_files(root: Path, files: Iterator[Path] | list[Path]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for path in files:
        digest.update(str(path.relative_to(root)).encode())
        with path.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "blake2b").digest())
    return digest.hexdigest()
