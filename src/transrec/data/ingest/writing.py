"""Writing a dataset folder: items part by part, and the whole folder at once or not at all."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import final

import lance
import pyarrow as pa
import pyarrow.parquet as pq

from transrec.data.folders import require_place
from transrec.data.ingest.content import Part
from transrec.data.item import VECTOR_PREFIX, table_of_items
from transrec.data.reading.tables import Table
from transrec.errors import DataError

_FLUSH = 64 << 20
_OWN = ("dataset.json", "interactions.parquet", "rejects.parquet")


def catalog_schema(found: Sequence[Table], kept: Sequence[str], widths: Mapping[str, int]) -> pa.Schema:
    """The schema of a catalog of these tables: content, vectors of these widths, and the further columns kept.

    Columns of delimited files and JSON lines are strings; Parquet keeps its types, except where two tables differ.
    """
    kinds: dict[str, pa.DataType] = {}
    for table in found:
        own = pq.read_schema(table.path) if table.kind == "parquet" else None
        for name in set(kept) & set(table.columns):
            kind = own.field(name).type if own is not None else pa.large_string()
            if pa.types.is_string(kind) or pa.types.is_string_view(kind) or _is_list_of_strings(kind):
                kind = pa.large_string()
            kinds[name] = kind if kinds.get(name, kind) == kind else pa.large_string()
    empty = table_of_items([]).schema
    fields = list(empty)
    for name, width in sorted(widths.items()):
        fields.append(pa.field(VECTOR_PREFIX + name, pa.list_(pa.float32(), width)))
        fields.append(pa.field(f"has_{VECTOR_PREFIX}{name}", pa.bool_()))
    named = table_of_items([], {name: [] for name in kept}).schema.names[len(empty) :]
    fields += [pa.field(stored, kinds[name]) for stored, name in zip(named, kept, strict=True)]
    return pa.schema(fields)


def _is_list_of_strings(kind: pa.DataType) -> bool:
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return False
    return bool(pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type))


@final
class CatalogWriter:
    """Appends parts to a catalog on disk, holding some tens of megabytes at a time."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder = folder
        self._waiting: list[pa.Table] = []
        self._bytes = 0
        self._schema = _extended(folder, schema) if folder.exists() else schema

    def write(self, part: Part) -> None:
        """Add the items of a part at the end."""
        if not part.items:
            return
        columns = {name: part.columns[name].to_list() for name in part.columns.columns}
        table = _fitted(table_of_items(part.items, columns), self._schema)
        self._waiting.append(table)
        self._bytes += table.nbytes
        if self._bytes > _FLUSH:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        if self._waiting:
            mode = "append" if self._folder.exists() else "create"
            lance.write_dataset(pa.concat_tables(self._waiting), str(self._folder), mode=mode)
            self._waiting, self._bytes = [], 0


def _fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            absent = (
                pa.array([False] * len(table)) if pa.types.is_boolean(field.type) and field.name.startswith("has_") else None
            )
            columns.append(pa.nulls(len(table), field.type) if absent is None else absent)
            continue
        column = table.column(field.name)
        try:
            columns.append(column.cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"the column {field.name!r} holds {column.type}, the catalog {field.type}: {error}",
                remedy="give the column the same type in every table, or another name",
            ) from None
    return pa.table(columns, schema=schema)


def _extended(folder: Path, schema: pa.Schema) -> pa.Schema:
    """The schema of the catalog on disk, after it got the columns that it lacked."""
    catalog = lance.dataset(str(folder))
    present: pa.Schema = catalog.schema
    for field in schema:
        if (
            field.name.startswith(VECTOR_PREFIX)
            and field.name in present.names
            and present.field(field.name).type != field.type
        ):
            raise DataError(
                f"the given vectors {field.name.removeprefix(VECTOR_PREFIX)!r} have the type {field.type}, "
                f"those in the catalog {present.field(field.name).type}",
                remedy="give vectors of the same width, or another name",
            )
    missing = [field for field in schema if field.name not in present.names]
    if missing:
        catalog.add_columns(missing)
    extended: pa.Schema = lance.dataset(str(folder)).schema
    return extended


@contextlib.contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A new folder that takes the place of ``out`` when the block ends well, and vanishes when it does not.

    It lies beside ``out``, on the same disk, and starts with what ``out`` holds except for the files that every ingest
    writes anew. Until the end ``out`` is untouched, so that a dataset is there whole or not at all; only between the two
    renames that exchange an old folder for the new is there none under the name: see :func:`put_back`.

    Raises:
        DataError: ``out`` is something other than a dataset or an empty folder, or nothing can be put there.
    """
    require_place(out)
    if out.exists() and not (out / "dataset.json").exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(
            f"{out} is there already and is not a dataset folder",
            remedy="choose another name with --out, or remove it yourself",
        )
    out = out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    around = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".ingest", dir=out.parent))
    fresh, old = around / "new", around / "old"
    try:
        if out.exists():
            shutil.copytree(out, fresh, copy_function=_link, ignore=lambda at, _: _OWN if Path(at) == out else ())
        else:
            fresh.mkdir()
        yield fresh
        if out.exists():
            out.rename(old)
        try:
            fresh.rename(out)
        except BaseException:
            if old.exists():
                old.rename(out)
            raise
    finally:
        shutil.rmtree(around, ignore_errors=True)


def put_back(out: Path) -> None:
    """Give its name back to a dataset that was put aside by an ingest which was killed before the new one had the name."""
    out = out.resolve()
    if not out.exists():
        for old in sorted(out.parent.glob(f".{glob.escape(out.name)}.*.ingest/old")):
            old.rename(out)
            return


def _link(source: str, target: str) -> None:
    # Lance never changes a file that it has written, so a second name is as good as a copy, and costs nothing
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
