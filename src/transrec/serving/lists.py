"""Lists for all users of a dataset, as one Parquet file: in parts of some users, so that an interruption costs one part.

Axes: B users, V items in the catalog, K list length.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from transrec.data.dataset import Dataset
from transrec.data.folders import require_place
from transrec.data.histories import Histories
from transrec.data.sealing import put_in_place
from transrec.data.store import Progress
from transrec.data.times import whole_seconds
from transrec.errors import RunError
from transrec.model import TransRec
from transrec.retrieval.filters import allowed_by
from transrec.retrieval.index import encode_histories
from transrec.retrieval.live import Snapshot
from transrec.retrieval.vectors import weights_digest
from transrec.settings import Settings

USERS_AT_ONCE = 4096
"""Users of a part; what is in memory at a time does not grow with their number."""
SCHEMA = pa.schema(
    [("user_id", pa.string()), ("rank", pa.int32()), ("item_id", pa.string()), ("score", pa.float32())],
    metadata={"transrec.lists": "1"},
)
"""One row for each user and place in the list: what SQL, pandas, Polars and Spark join and filter without unnesting."""

Making = Callable[["Lists", Sequence[range]], Iterator[pa.Table]]
"""From lists that are to be written and the users of parts: what :meth:`Lists.part` gives for each, in this order."""

_PLAN = "plan.json"


class ListSettings(Settings):
    """What is wanted for every user."""

    k: int = Field(default=10, ge=1)
    """How many items; fewer where a user may be shown no more."""
    seen: bool = False
    """Whether items of the user's history may be recommended again."""
    popularity: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """How much of what popularity is worth counts: 1 as learned; 0 for none."""
    where: str | None = None
    """Only items of which this is true, over the catalog's columns."""
    exclude: tuple[str, ...] = ()
    """Ids that nobody is recommended."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        users: of the dataset.
        before: how many of them an interrupted call had done.
        without: how many have no row, because nothing may be shown to them.
    """

    users: int
    before: int
    without: int


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What may be shown, read once for all parts.

    Attributes:
        allowed_V: which items, bool of shape (V,); None: all.
        ids: of all items.
    """

    allowed_V: np.ndarray | None
    ids: pa.Array


@final
@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """Lists to be written.

    Attributes:
        model: in evaluation mode.
        now: catalog and index.
        dataset: whose users; its items are the first ones of the catalog.
        settings: what is wanted.
    """

    model: TransRec
    now: Snapshot
    dataset: Dataset
    settings: ListSettings

    def write(
        self, out: Path, *, overwrite: bool = False, progress: Progress | None = None, making: Making | None = None
    ) -> Written:
        """Write the lists; what an interrupted call has finished is taken from the folder ``.NAME.parts`` beside the file.

        Args:
            out: the Parquet file; it appears when it is whole.
            overwrite: replace a file that is there, and begin anew where lists of another kind were interrupted.
            progress: told how far it is.
            making: who makes the parts; this process when None.

        Raises:
            RunError: the file is there already, or what was interrupted was asked for otherwise.
            DataError: the filter cannot be used, or nothing can be put there.
            EvaluationError: a score is not finite.
        """
        if out.exists() and not overwrite:
            raise RunError(f"{out} is there already", remedy="give another --out, or add --overwrite to write it anew")
        require_place(out)
        folder = out.with_name(f".{out.name}.parts")
        shown = self.shown()  # before anything is written
        self._begin(folder, overwrite=overwrite)
        count = len(self.dataset.interactions.users)
        every = [range(start, min(start + USERS_AT_ONCE, count)) for start in range(0, count, USERS_AT_ONCE)]
        parts = {users: folder / f"{users.start:012d}.parquet" for users in every}
        missing = [users for users, part in parts.items() if not part.exists()]
        made = making(self, missing) if making else (self.part(users, shown) for users in missing)
        done = before = count - sum(map(len, missing))
        for users, table in zip(missing, made, strict=True):
            _write_whole(parts[users], [table])
            done += len(users)
            if progress:
                progress("recommending for users", done, count)
        listed = sum(int((pq.read_table(p, columns=["rank"])["rank"].to_numpy() == 1).sum()) for p in parts.values())
        _write_whole(out, list(parts.values()))
        shutil.rmtree(folder)
        return Written(count, before, count - listed)

    def _begin(self, folder: Path, *, overwrite: bool) -> None:
        """The folder of parts with the plan that they follow."""
        plan = self.plan()
        path = folder / _PLAN
        if path.exists() and json.loads(path.read_text()) != plan:
            if not overwrite:
                raise RunError(
                    "lists that were asked for otherwise were interrupted here: another model, dataset, k or filter",
                    where=str(folder),
                    remedy="ask as before to go on with them, or add --overwrite to begin anew",
                )
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f".{_PLAN}"
        unfinished.write_text(json.dumps(plan))
        put_in_place(unfinished, path)

    def plan(self) -> dict[str, object]:
        """Everything that the lists depend on."""
        index = self.now.index
        state = hashlib.blake2b(digest_size=16)
        for told in (self.now.catalog.fingerprint, weights_digest(self.model), self.model.settings.model_dump_json()):
            state.update(told.encode())
        state.update(index.removed.tobytes() + index.unreadable.tobytes())
        return {
            "format": 1,
            "state": state.hexdigest(),
            "data": self.dataset.fingerprint,
            "users_at_once": USERS_AT_ONCE,
            **self.settings.model_dump(mode="json"),
        }

    def shown(self) -> Shown:
        """What may be shown.

        Raises:
            DataError: the filter cannot be used.
        """
        where, exclude, catalog = self.settings.where, self.settings.exclude, self.now.catalog
        ids = pa.array(catalog.ids, pa.string())
        if where is None and not exclude:
            return Shown(None, ids)
        allowed_V = np.ones(len(catalog), dtype=bool) if where is None else allowed_by(where, catalog).copy()
        rows = catalog.rows(exclude)
        allowed_V[rows[rows >= 0]] = False
        return Shown(allowed_V, ids)

    def part(self, users: range, shown: Shown) -> pa.Table:
        """The lists of these users, of the form :data:`SCHEMA`.

        Raises:
            EvaluationError: a score is not finite.
        """
        events, start, stop = self.dataset.interactions, users.start, users.stop
        first, last = events.offsets[start], events.offsets[stop]
        times = whole_seconds(events.times[first:last]) if self.model.users.reads_times else None
        histories = Histories(events.rows[first:last], events.offsets[start : stop + 1] - first, times)
        hidden = Histories.from_lists([[]] * len(histories)) if self.settings.seen else histories
        queries = encode_histories(self.model, self.now.index, histories)
        top = self.now.index.weighing(self.settings.popularity).search(queries, self.settings.k, hidden, shown.allowed_V)
        rows_BK, scores_BK = top.rows_BK.cpu().numpy(), top.scores_BK.cpu().numpy()
        owners, places = np.nonzero(rows_BK >= 0)
        named = pa.array(events.users.slice(start, stop - start).to_list(), pa.string())
        columns = [
            named.take(pa.array(owners)),
            pa.array((places + 1).astype(np.int32)),
            shown.ids.take(pa.array(rows_BK[owners, places])),
            pa.array(scores_BK[owners, places].astype(np.float32)),
        ]
        return pa.table(columns, schema=SCHEMA)


def _write_whole(path: Path, sources: Sequence[pa.Table | Path]) -> None:
    """Write tables, or other files of them one after the other, as one file that appears when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with pq.ParquetWriter(unfinished, SCHEMA) as writer:
            for source in sources:
                writer.write_table(pq.read_table(source) if isinstance(source, Path) else source)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
