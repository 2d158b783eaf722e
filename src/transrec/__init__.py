"""transrec: recommendations from what items are.

The names below are the public ones; each is loaded when it is first used, so that ``import transrec`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from transrec._version import __version__

if TYPE_CHECKING:
    from transrec.data.catalog import Catalog as Catalog
    from transrec.data.catalog import Item as Item
    from transrec.data.dataset import Dataset as Dataset
    from transrec.data.ingest.ingest import ingest as ingest
    from transrec.data.interactions import Interactions as Interactions
    from transrec.data.splits import by_time as by_time
    from transrec.data.splits import leave_one_out as leave_one_out
    from transrec.errors import TransRecError as TransRecError
    from transrec.items.encoder import ModalityEncoder as ModalityEncoder
    from transrec.model import ModelSettings as ModelSettings
    from transrec.model import TransRec as TransRec
    from transrec.recipes.evaluate import evaluate as evaluate
    from transrec.recipes.fitting import TrainSettings as TrainSettings
    from transrec.recipes.fitting import TransferSettings as TransferSettings
    from transrec.recipes.train import train as train
    from transrec.recipes.transfer import transfer as transfer
    from transrec.retrieval.index import CatalogIndex as CatalogIndex
    from transrec.serving.recommender import Recommender as Recommender

_HOME = {
    "Catalog": "transrec.data.catalog",
    "CatalogIndex": "transrec.retrieval.index",
    "Dataset": "transrec.data.dataset",
    "Interactions": "transrec.data.interactions",
    "Item": "transrec.data.catalog",
    "ModalityEncoder": "transrec.items.encoder",
    "ModelSettings": "transrec.model",
    "Recommender": "transrec.serving.recommender",
    "TrainSettings": "transrec.recipes.fitting",
    "TransferSettings": "transrec.recipes.fitting",
    "TransRec": "transrec.model",
    "TransRecError": "transrec.errors",
    "by_time": "transrec.data.splits",
    "evaluate": "transrec.recipes.evaluate",
    "ingest": "transrec.data.ingest.ingest",
    "leave_one_out": "transrec.data.splits",
    "train": "transrec.recipes.train",
    "transfer": "transrec.recipes.transfer",
}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> object:
    """Load a public name from the module that it lives in."""
    if name not in _HOME:
        raise AttributeError(f"module 'transrec' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
