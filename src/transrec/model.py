"""TransRec: items under users under a scorer; save and load.

The heart is two lines in :meth:`TransRec.forward`. Axes: B users, L history length, U distinct items of the batch,
D width.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from pydantic import Field
from torch import nn

from transrec.data.batches import SequenceBatch
from transrec.data.catalog import Catalog
from transrec.data.folders import local_folder
from transrec.data.sealing import write_whole
from transrec.errors import ModelError, RunError
from transrec.items.identity import IdentityEncoder
from transrec.items.settings import ItemSettings
from transrec.items.tower import ItemEncoder, build_items, table_of
from transrec.nesting import Nesting
from transrec.prior import CountPrior
from transrec.scoring import (
    BestInterest,
    CosineScorer,
    DistanceScorer,
    DotScorer,
    FusedViewScorer,
    Fusing,
    PrefixScorer,
    Scorer,
)
from transrec.seeding import seeded
from transrec.settings import Settings, read_yaml
from transrec.users.encoder import UserEncoder
from transrec.users.settings import UserSettings
from transrec.users.tower import build_users
from transrec.views import ItemViews, UserOutput
from transrec.weights import SETTINGS, WEIGHTS, load_weights, save_weights

FORMAT = 2


class ModelSettings(Settings):
    """The parts of the model."""

    items: ItemSettings = ItemSettings()
    """The item tower."""
    users: UserSettings = UserSettings()
    """The user tower."""
    scorer: Literal["cosine", "dot", "distance", "views"] = "cosine"
    """How a user and an item meet: cosine with a learned temperature, (as published) the plain inner product, the squared
    distance on the unit sphere, for the objective hinge, or views: a cosine with each view of an item and one score of them
    (MISSRec). Of several interests of a user the best counts."""
    fusing: Fusing = "dynamic"
    """How the scorer views makes one score: dynamic, a mean that learns to lean to the best view; or static, the mean."""
    temperature: float = Field(default=0.07, ge=0.01)
    """Where the temperature of the cosine starts."""
    scored_width: int = Field(default=0, ge=0)
    """How many numbers of user and item vectors are compared, from the first on; 0 for all. `transrec slice` sets it."""
    prior: Literal["counts", "none"] = "counts"
    """What a platform's counts add to scores: what is popular, what tends to follow, what is had together, each with a
    learned weight; or nothing, as published. Counts are of items as they are numbered here; the weights can move."""

    def reading(self, names: Sequence[str]) -> ModelSettings:
        """The same model, reading these modalities; the scores of a single view need no fusing."""
        items = self.items.model_copy(update={"modalities": tuple(names)})
        scorer = "cosine" if self.scorer == "views" and len(names) == 1 else self.scorer
        return self.model_copy(update={"items": items, "scorer": scorer})


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """What one forward pass gives to the objectives.

    Attributes:
        items: of the U distinct items of the batch.
        users: of the B histories.
    """

    items: ItemViews
    users: UserOutput


class TransRec(nn.Module):
    """A recommender that knows items by what they are.

    Put one together from parts, or from settings with :meth:`build`, or from a run folder with :meth:`load`.

    Args:
        items: the item tower.
        users: the user tower.
        scorer: how they meet.
        settings: what the parts were made from, written down by :meth:`save`.
        prior: what counts add to the scores; nothing when None.

    Raises:
        ModelError: the scorer cannot take what the user tower gives, or their widths differ, or it reads more of them.
    """

    def __init__(
        self,
        items: ItemEncoder,
        users: UserEncoder,
        scorer: Scorer,
        settings: ModelSettings,
        prior: CountPrior | None = None,
    ) -> None:
        super().__init__()
        if scorer.takes != users.gives:
            raise ModelError(
                f"{type(scorer).__name__} scores {scorer.takes}, {type(users).__name__} gives {users.gives}",
                remedy="choose a scorer and a user encoder that fit each other",
            )
        if items.width != users.width:
            raise ModelError(f"items have the width {items.width}, the user encoder takes {users.width}")
        scorer.check(list(items.encoders))
        if (scorer.reads or 0) > items.width:
            raise ModelError(f"{scorer.reads} numbers are to be compared, vectors have {items.width}", where="scored_width")
        if users.nested != Nesting.of(items.width, items.settings.nested).nested:
            told = f"items can be cut to {items.settings.nested}, {type(users).__name__} to {users.nested or 'nothing'}"
            raise ModelError(told, remedy="leave out model.items.nested, or choose a user encoder that is nested, too")
        self.items = items
        self.users = users
        self.scorer = scorer
        self.prior = prior
        self.settings = settings

    def forward(self, batch: SequenceBatch) -> Outputs:
        """Encode each distinct item once, then every history."""
        items = self.items(batch.items)  # each distinct item once
        users = self.users(items.read_by(self.users)[batch.history_BL], batch.mask_BL, batch.times_BL)
        return Outputs(items, users)

    @property
    def window(self) -> int:
        """The longest history that is read."""
        return self.users.window

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    # ---- building -----------------------------------------------------------------------------------------------------

    @classmethod
    def build(cls, settings: ModelSettings, catalogs: Sequence[Catalog], *, seed: int = 0) -> TransRec:
        """A model for one platform or several: pre-trained encoders where the settings name them, everything else fresh.

        Args:
            settings: of the parts.
            catalogs: of the platforms; say which modalities there are.
            seed: of what starts fresh.

        Raises:
            BackboneError: a pre-trained encoder cannot be found.
            SettingsError: no catalog has a modality that the settings name.
        """
        with seeded(seed):
            items = build_items(settings.items, catalogs)
            resolved = settings.model_copy(update={"items": items.settings})
            users = build_users(resolved.items.width, resolved.users, resolved.items.nested)
            return cls(items, users, build_scorer(resolved, items, users), resolved, _build_prior(resolved))

    def fresh_for(self, catalog: Catalog, *, grown: bool = False, seed: int = 0) -> TransRec:
        """A model of the same form for another platform: copies of the encoders, everything else fresh.

        Args:
            catalog: of the platform.
            grown: whether it is the same platform: an identity table, else fresh, keeps the rows of the ids that it knows.
            seed: of what is fresh.
        """

        def own(encoder: nn.Module) -> nn.Module:
            if not isinstance(encoder, IdentityEncoder):
                return copy.deepcopy(encoder)
            if grown:
                return encoder.grown(catalog.ids)
            return table_of(catalog.ids, self.settings.items, beside_content=len(self.items.encoders) > 1)

        with seeded(seed):
            encoders = {name: own(encoder) for name, encoder in self.items.encoders.items()}
            one = self.items.settings.model_copy(update={"platforms": 1})
            items = ItemEncoder(encoders, one)  # type: ignore[arg-type]
            resolved = self.settings.model_copy(update={"items": one})
            users = build_users(resolved.items.width, resolved.users, resolved.items.nested)
            return TransRec(items, users, build_scorer(resolved, items, users), resolved, _build_prior(resolved))

    # ---- disk ---------------------------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """Write everything that :meth:`load` needs: settings, weights, and the encoders' tokenizers and processors.

        Other sections of a settings file that is there already stay.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        present = read_yaml(folder / SETTINGS) if (folder / SETTINGS).exists() else {}
        document = {**present, "format": FORMAT, "model": self.settings.model_dump(mode="json")}
        write_whole(folder / SETTINGS, yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
        self.items.save_assets(folder / "encoders")
        save_weights(self, folder / WEIGHTS)

    @classmethod
    def load(cls, folder: str | Path, *, device: str | torch.device = "cpu") -> TransRec:
        """The model in a run folder, or of a repository on the Hugging Face hub (``"owner/name"``); in evaluation mode.

        Nothing but the folder is needed, nothing is fetched besides, and no pickle is read.

        Raises:
            RunError: the folder is not a run, is incomplete, or is from a newer version.
        """
        folder = local_folder(folder)
        if not (folder / SETTINGS).exists():
            raise RunError(
                f"{folder} is not a run folder: it has no {SETTINGS}", remedy="`transrec train DATA --out RUN` makes one"
            )
        document = read_yaml(folder / SETTINGS)
        if not isinstance(document.get("model"), dict) or not isinstance(document.get("format", 0), int):
            raise RunError(f"{SETTINGS} does not describe a model", where=str(folder), remedy="copy the run folder again")
        if document.get("format", 0) > FORMAT:
            raise RunError(
                f"this run has format {document['format']}, this version of transrec reads up to {FORMAT}",
                where=str(folder),
                remedy="upgrade transrec",
            )
        if document.get("format", 0) < FORMAT:
            raise RunError(
                "this run was made by an earlier version of transrec, whose models have other parts",
                where=str(folder),
                remedy="train it again, or read it with the version that its settings.yaml names",
            )
        settings = ModelSettings.from_mapping(document["model"], where=str(folder / SETTINGS))
        items = ItemEncoder.from_assets(folder / "encoders", settings.items)
        settings = settings.model_copy(update={"items": items.settings})
        users = build_users(settings.items.width, settings.users, settings.items.nested)
        model = cls(items, users, build_scorer(settings, items, users), settings, _build_prior(settings))
        load_weights(model, folder / WEIGHTS)
        return model.to(device).eval()

    def push_to_hub(self, repository: str, folder: str | Path, *, private: bool = True, token: str | None = None) -> str:
        """Upload a run folder to the Hugging Face hub.

        Checkpoints, logs, indexes and the ranks of single users stay here, and so do the paths of this machine.

        Args:
            repository: ``"owner/name"``; made if it is not there.
            folder: the run folder; this model is saved into it first.
            private: whether only the owner can see it.
            token: of the hub; the one that ``hf auth login`` left when None.

        Returns:
            the address of the commit.
        """
        from huggingface_hub import HfApi

        self.save(folder)
        api = HfApi(token=token)
        api.create_repo(repository, private=private, exist_ok=True)
        ignored = ["checkpoints/*", "stages/*", "tensorboard/*", "index/*", "compare/*", "evaluation/*.parquet", SETTINGS]
        settings = yaml.safe_dump(_without_paths(read_yaml(Path(folder) / SETTINGS)), sort_keys=False, allow_unicode=True)
        api.upload_file(repo_id=repository, path_or_fileobj=settings.encode(), path_in_repo=SETTINGS)
        return str(api.upload_folder(repo_id=repository, folder_path=str(folder), ignore_patterns=ignored))


def build_scorer(settings: ModelSettings, items: ItemEncoder, users: UserEncoder) -> Scorer:
    """A fresh scorer of what users are, over the items."""
    made: Mapping[str, Callable[[], Scorer]] = {
        "cosine": lambda: CosineScorer(settings.temperature),
        "dot": DotScorer,
        "distance": DistanceScorer,
        "views": lambda: FusedViewScorer(list(items.encoders), settings.temperature, settings.fusing),
    }
    scorer = made[settings.scorer]()
    if users.gives == "interests":
        interests = settings.users.interests
        scorer = BestInterest(scorer, handicapped=interests.count - 1 if interests.handicap else 0)
    return PrefixScorer(scorer, settings.scored_width) if settings.scored_width else scorer


def _build_prior(settings: ModelSettings) -> CountPrior | None:
    return CountPrior() if settings.prior == "counts" else None


def _without_paths(document: dict[str, Any]) -> dict[str, Any]:
    """A run's settings without where its data and its source were on this machine."""
    run = document.get("run")
    if not isinstance(run, dict):
        return document
    bare = {**run, "source": Path(run.get("source", "")).name}
    for kind in ("data", "ancestors"):
        bare[kind] = [{**record, "path": ""} for record in run.get(kind, [])]
    return {**document, "run": bare}
