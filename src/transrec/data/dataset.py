"""Dataset: one platform, a catalog and its interactions, in memory or as a folder on disk."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transrec.data.catalog import Catalog
from transrec.data.interactions import Interactions
from transrec.errors import DataError

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Dataset:
    """One platform.

    Attributes:
        catalog: its items.
        interactions: its events.
        name: what to call it in tables.
        folder: where it is on disk, or None when it lives in memory only.
        manifest: what ``dataset.json`` holds: schema, counts, every filter with the rows that it removed.
    """

    catalog: Catalog
    interactions: Interactions
    name: str = "dataset"
    folder: Path | None = None
    manifest: dict[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change when an item's id or content or any event changes."""
        both = self.catalog.fingerprint + self.interactions.fingerprint()
        return hashlib.blake2b(both.encode(), digest_size=16).hexdigest()

    @property
    def store_folder(self) -> Path | None:
        """Where prepared content is kept (``DATA/store``), or None: in memory, or where nothing may be written."""
        if self.folder is None or not os.access(self.folder, os.W_OK):
            return None
        return self.folder / "store"

    @classmethod
    def open(cls, folder: str | Path) -> Dataset:
        """Open a dataset folder.

        Raises:
            DataError: it is not one, a file of it is damaged, or its format is newer than this version of transrec.
        """
        folder = Path(folder)
        try:
            manifest = json.loads((folder / "dataset.json").read_text())
            if not isinstance(manifest, dict) or not isinstance(manifest.get("format", 0), int):
                raise ValueError("it does not say what the folder holds")
        except OSError:
            raise DataError(
                f"{folder} is not a dataset folder: it has no dataset.json",
                remedy="make one: transrec ingest --interactions FILE --items FILE --out " + str(folder),
            ) from None
        except ValueError as error:
            raise DataError(
                f"dataset.json cannot be read: {error}", where=str(folder), remedy="ingest the data again into a new folder"
            ) from None
        if manifest.get("format", 0) > FORMAT:
            raise DataError(
                f"this dataset has format {manifest['format']}, this version of transrec reads up to {FORMAT}",
                where=str(folder),
                remedy="upgrade transrec, or ingest the data again with this version",
            )
        catalog = Catalog.open(folder / "catalog.lance")
        interactions = Interactions.open(folder / "interactions.parquet", items=len(catalog))
        return cls(catalog, interactions, manifest.get("name", folder.name), folder, manifest)

    def save(self, folder: str | Path) -> Dataset:
        """Write a dataset folder and return the dataset as it is there."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if self.folder is None or folder.resolve() != self.folder.resolve():
            self.catalog.save(folder / "catalog.lance")
            self.interactions.save(folder / "interactions.parquet")
        self.write_manifest(folder)
        return Dataset.open(folder)

    def write_manifest(self, folder: Path) -> None:
        """Write ``dataset.json``: format, name, counts, fingerprint, and what else the manifest holds."""
        own = {
            "format": FORMAT,
            "name": self.name,
            "users": len(self.interactions.users),
            "items": len(self.catalog),
            "interactions": len(self.interactions),
            "modalities": {name: int(present.sum()) for name, present in self.catalog.presence.items()},
            "fingerprint": self.fingerprint,
        }
        text = json.dumps(
            {**own, **self.manifest, **own}, indent=2, ensure_ascii=False
        )  # own counts first, and never older ones
        (folder / "dataset.json").write_text(text + "\n")
