"""``transrec export``."""

from __future__ import annotations

from pathlib import Path

from transrec.export.manifest import VectorType
from transrec.recipes.export import export as export_recipe


def export(run: Path, /, *, out: Path, data: Path | None = None, vectors: VectorType = "float32") -> None:
    """Write ONNX graphs of both towers and the item vectors as Parquet, checked against PyTorch.

    Args:
        run: the run folder.
        out: the folder to write.
        data: the dataset whose items are exported; the run's own when not given.
        vectors: type of the numbers of item vectors; float16 takes half the room.
    """
    export_recipe(run, out, data, vectors=vectors)
