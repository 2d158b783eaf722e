"""Manifest: what ``manifest.json`` says of an exported folder, so that a program can use it without knowing the run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

from transrec._version import __version__
from transrec.data.times import UNKNOWN_TIME
from transrec.errors import ExportError
from transrec.export.graphs import Graph, Port
from transrec.export.parity import TOLERANCE, Parity
from transrec.model import TransRec
from transrec.prior import CountPrior
from transrec.retrieval.vectors import weights_digest
from transrec.scoring import BestInterest, CosineScorer, DistanceScorer, DotScorer, PrefixScorer, Scorer
from transrec.settings import Settings

FORMAT = 1
NAME = "manifest.json"

VectorType = Literal["float32", "float16"]


class GraphRecord(Settings):
    """One ONNX file."""

    file: str
    """Where it is, from the folder."""
    inputs: tuple[Port, ...]
    """What it takes, in this order."""
    output: Port
    """What it gives."""
    parity: Parity
    """How far it was from PyTorch when it was written."""

    @classmethod
    def of(cls, graph: Graph, file: str, parity: Parity) -> GraphRecord:
        """The record of a graph."""
        return cls(file=file, inputs=graph.inputs, output=graph.output, parity=parity)


class TextReading(Settings):
    """From a text to the inputs of its graph."""

    tokenizer: str | None
    """The file for the library tokenizers, checked on texts of the dataset; null: only transformers splits texts alike."""
    max_length: int
    """Tokens read, special ones included; what is longer is cut off."""
    padding: int
    """The token that fills up ids; the attention mask is 0 there."""
    pad_to_max_length: bool
    """Whether every text has to be filled up to max_length; else the longest of a batch is enough."""


class PictureReading(Settings):
    """From a picture to the inputs of its graph."""

    side: int
    """Height and width of the pixels, RGB, as bytes; scaling and normalising are in the graph."""
    processor: str
    """How pictures are cut to size: the image processor of transformers."""


class ModalityRecord(Settings):
    """One modality of items."""

    graph: GraphRecord | None
    """From prepared content to the item's view; null where PyTorch cannot translate the encoder."""
    reason: str = ""
    """Why there is no graph."""
    assets: str
    """The folder of the encoder's configuration and tokenizer or processor."""
    text: TextReading | None = None
    """How texts are read, for the built-in text encoder."""
    picture: PictureReading | None = None
    """How pictures are read, for the built-in image encoder."""


class UsersRecord(Settings):
    """The user tower."""

    graph: GraphRecord
    """From the item vectors of a history, oldest first and padded on the right, to the user's state."""
    window: int
    """The longest history; older events are left out."""
    reads_times: bool
    """Whether it takes times: whole seconds since 1970, or whatever unit the dataset has."""
    unknown_time: int = UNKNOWN_TIME
    """What stands for a time that is not known, and in padded slots."""


class ScorerRecord(Settings):
    """How a state and an item vector make a score; higher is better, and only comparable within one list."""

    kind: Literal["cosine", "dot", "distance"]
    """cosine: scale times the cosine of state and vector; dot: their inner product; distance: twice the cosine, less two. Of
    several interests the one with the highest score counts, see handicaps."""
    scale: float
    """1 / temperature of cosine; 1 for the others."""
    temperature: float | None
    """What the cosine is divided by."""
    width: int | None = None
    """How many numbers of state and vector are compared, from the first on; all where it is not said."""
    handicaps: list[float] | None = None
    """Of several interests, what is taken off the score of the second, the third, and so on, before the highest is taken;
    nothing where it is not said."""

    @classmethod
    def of(cls, scorer: Scorer) -> ScorerRecord:
        """The record of a scorer.

        Raises:
            ExportError: it is none of these.
        """
        if isinstance(scorer, PrefixScorer):
            return cls.of(scorer.inner).model_copy(update={"width": scorer.reads})
        if isinstance(scorer, BestInterest):
            given = None if scorer.handicaps is None else scorer.handicaps.of_each.tolist()
            return cls.of(scorer.inner).model_copy(update={"handicaps": given})
        if isinstance(scorer, DistanceScorer):
            return cls(kind="distance", scale=1.0, temperature=None)
        if isinstance(scorer, CosineScorer):
            scale = float(scorer.scale.detach())
            return cls(kind="cosine", scale=scale, temperature=1 / scale)
        if isinstance(scorer, DotScorer):
            return cls(kind="dot", scale=1.0, temperature=None)
        raise ExportError(f"it is not known how {type(scorer).__name__} is done outside of PyTorch")


class PriorRecord(Settings):
    """What counts of the platform's events add to scores. It is in no graph."""

    formula: str = (
        "score + popularity * log(1 + events) + unseen * [events = 0] "
        "+ sum over kinds of weights[kind] * log(1 + exp(sharpness[kind]) * share[kind])"
    )
    """The whole score. The first two terms are the column prior of items.parquet; the shares depend on the history too, and
    are not exported."""
    popularity: float
    """Weight of how many events an item has."""
    unseen: float
    """What an item without any has."""
    weights: dict[str, float]
    """By kind of share: what followed the last items of the history, what else their users have."""
    sharpness: dict[str, float]
    """By kind of share."""

    @classmethod
    def of(cls, prior: CountPrior) -> PriorRecord:
        """The record of a prior."""
        return cls(
            popularity=float(prior.popularity.detach()),
            unseen=float(prior.unseen.detach()),
            weights={kind: float(value.detach()) for kind, value in prior.weights.items()},
            sharpness={kind: float(value.detach()) for kind, value in prior.sharpness.items()},
        )


class VectorsRecord(Settings):
    """The item vectors."""

    file: str
    """Parquet, one row an item in the catalog's order: id, title, vector, events, prior."""
    type: VectorType
    """Of the numbers of a vector."""
    width: int
    """How many of them."""
    items: int
    """Rows."""
    left_out: int
    """Items of the catalog without a row: the model can make nothing of them."""


class Manifest(Settings):
    """What is in an exported folder, and how it is used."""

    format: int = FORMAT
    """Of this file and the folder."""
    version: str = __version__
    """Of transrec."""
    run: str
    """Name of the run folder."""
    fingerprint: str
    """Of the model: settings and weights. Vectors and graphs of two fingerprints do not belong together."""
    dataset: str
    """Name of the dataset whose items these are."""
    dataset_fingerprint: str
    """Of its items and events."""
    items: dict[str, ModalityRecord]
    """By modality, in the order of the fusion's axis."""
    fusion: GraphRecord
    """From the views of an item, in the order of items, and which of them there are, to its vector; also where it has one
    view only."""
    users: UsersRecord
    """The user tower."""
    scorer: ScorerRecord
    """How a user and an item meet."""
    prior: PriorRecord | None
    """What counts add; null: nothing."""
    vectors: VectorsRecord
    """The catalog's vectors."""
    tolerance: float = TOLERANCE
    """The largest relative difference from PyTorch that an export may have."""

    @property
    def graphs(self) -> dict[str, GraphRecord]:
        """All graphs by file."""
        own = [record.graph for record in self.items.values() if record.graph is not None]
        return {graph.file: graph for graph in (*own, self.fusion, self.users.graph)}

    def write(self, folder: Path) -> None:
        """Write the file into a folder."""
        text = json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False)
        (folder / NAME).write_text(text + "\n", encoding="utf-8")


def model_fingerprint(model: TransRec) -> str:
    """32 hexadecimal digits that change with a model's settings and weights."""
    settings = model.settings.model_dump_json()
    return hashlib.blake2b((settings + weights_digest(model)).encode(), digest_size=16).hexdigest()
