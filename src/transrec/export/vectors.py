"""Item vectors as Parquet, keyed by item id, a block of rows at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from transrec.data.catalog import Catalog
from transrec.data.store import Progress
from transrec.export.manifest import VectorsRecord, VectorType
from transrec.retrieval.index import CatalogIndex

ROWS_AT_ONCE = 8192


@torch.no_grad()
def write_vectors(
    catalog: Catalog, index: CatalogIndex, path: Path, kind: VectorType = "float32", *, progress: Progress | None = None
) -> VectorsRecord:
    """Write every item that the model can read: id, title, vector, events, and what its events add to its scores.

    Args:
        catalog: the items.
        index: their vectors under the model.
        path: of the Parquet file.
        kind: of the numbers of a vector.
        progress: told how far it is.

    Returns:
        What the manifest says of the file.
    """
    width = index.vectors.width
    events_V, prior_V = _counted(index)
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("title", pa.string()),
            ("vector", pa.list_(pa.float32() if kind == "float32" else pa.float16(), width)),
            ("events", pa.int64()),
            ("prior", pa.float32()),
        ]
    )
    kept = np.setdiff1d(np.arange(len(index)), index.unreadable)
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(kept), ROWS_AT_ONCE):
            rows = kept[start : start + ROWS_AT_ONCE]
            vectors_nD = index.vectors.take(torch.from_numpy(rows).to(index.device)).cpu().numpy()
            flat = pa.array(vectors_nD.astype(kind).reshape(-1))
            columns = [
                pa.array([catalog.ids[row] for row in rows]),
                pa.array(catalog.titles(rows)),
                pa.FixedSizeListArray.from_arrays(flat, width),
                pa.array(events_V[rows]),
                pa.array(prior_V[rows]),
            ]
            writer.write_table(pa.table(columns, schema=schema))
            if progress:
                progress("writing item vectors", start + len(rows), len(kept))
    left_out = len(index.unreadable)
    return VectorsRecord(file=path.name, type=kind, width=width, items=len(kept), left_out=left_out)


def _counted(index: CatalogIndex) -> tuple[np.ndarray, np.ndarray]:
    """How many events each item has, int64 (V,), and what that adds to its scores, float32 (V,); zeros without a prior."""
    if index.known is None:
        return np.zeros(len(index), dtype=np.int64), np.zeros(len(index), dtype=np.float32)
    counts_V = torch.from_numpy(index.known.counts.popularity_V)
    base_V = index.known.prior.base(counts_V.float().to(index.device), index.known.popularity)
    return counts_V.long().numpy(), base_V.float().cpu().numpy()
