"""Service: what the routes do, without anything of HTTP but its limits."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, final

import numpy as np

from transrec.data.item import Item
from transrec.errors import ServingError
from transrec.retrieval.filters import allowed_by
from transrec.retrieval.live import Snapshot
from transrec.serving.http.bodies import Asked, Content, Inline, as_item, as_list, check_k
from transrec.serving.http.content import columns_of, item_of, thumbnail_of
from transrec.serving.http.held import Held
from transrec.serving.http.lanes import Batcher, Lane, overfull
from transrec.serving.http.metrics import Metrics
from transrec.serving.http.settings import ServeSettings
from transrec.serving.request import Recommendation, Request

Result = TypeVar("Result")


@final
class Service:
    """A recommender with two lanes: one that asks the model, one that changes items; pictures are read beside them.

    Args:
        held: the recommender.
        settings: the limits.
        metrics: is told of batches.
    """

    def __init__(self, held: Held, settings: ServeSettings, metrics: Metrics) -> None:
        self.held = held
        self.settings = settings
        self.metrics = metrics
        self._model = Lane("model", settings.max_waiting)
        self._changes = Lane("changes", settings.max_waiting)
        self._reading = 0
        self._batcher = Batcher(
            lambda requests: self.held.recommender.answer(requests),
            self._model,
            window=settings.batch_window_ms / 1_000,
            most=settings.max_batch,
            waiting=settings.max_waiting,
            told=metrics.batch,
        )

    # ---- asking -------------------------------------------------------------------------------------------------------

    async def recommend(self, asked: Asked) -> dict[str, Any]:
        """The answer to a question."""
        asked.check(self.settings)
        request = await self._beside(functools.partial(self._request, asked))
        return as_list(await self._batcher.ask(request))

    def _request(self, asked: Asked) -> Request:
        history: list[str | Item] = [
            item_of(item.id, item.content, self.settings) if isinstance(item, Inline) else item for item in asked.history
        ]
        return Request(
            tuple(history),
            asked.k,
            asked.times,
            asked.seen,
            asked.popularity,
            asked.where,
            asked.exclude,
            asked.diversity,
            asked.explain,
        )

    async def similar(self, item_id: str, k: int, where: str | None) -> dict[str, Any]:
        """The items nearest to one of the catalog."""
        check_k(k, self.settings)
        return _listed(await self._model.do(lambda: self.held.recommender.similar(item_id, k, where=where)))

    async def search(self, content: Content, k: int, where: str | None, exclude: Sequence[str] = ()) -> dict[str, Any]:
        """The items most like a content."""
        check_k(k, self.settings)
        if content.text is None and content.image is None:
            raise ServingError(
                "there is nothing to search for", status=422, where="text", remedy="give a text, a picture, or both"
            )
        item = await self._beside(lambda: item_of("what is searched for", content, self.settings))
        return _listed(await self._model.do(lambda: self.held.recommender.similar(item, k, where=where, exclude=exclude)))

    # ---- looking ------------------------------------------------------------------------------------------------------

    async def item(self, item_id: str) -> dict[str, Any]:
        """What there is to say of an item."""
        return await self._beside(lambda: _told(self.held.recommender.now, [self.held.recommender.now.row(item_id)])[0])

    async def items(self, where: str | None, offset: int, limit: int) -> dict[str, Any]:
        """A page of the items that are there, in the order of their rows."""
        return await self._beside(lambda: _page(self.held.recommender.now, where, offset, limit))

    async def thumbnail(self, item_id: str, side: int, form: str) -> tuple[bytes, str]:
        """A small picture of an item, and a name for what is in it."""
        return await self._beside(lambda: _thumbnail(self.held.recommender.now, item_id, side, form))

    def count(self) -> int:
        """How many items can be recommended."""
        now = self.held.recommender.now
        return len(now.catalog) - len(now.index.removed)

    # ---- changing -----------------------------------------------------------------------------------------------------

    async def put(self, item_id: str, content: Content, *, new: bool = False) -> bool:
        """Make an item what it is now, and say whether it was not there before.

        Args:
            item_id: the item.
            content: all of it; of an item that is there, columns alone change nothing else.
            new: an item that is there is refused with 409.
        """
        only_columns = content.columns is not None and not content.model_fields_set - {"columns"}
        item = None if only_columns and not new else await self._beside(lambda: item_of(item_id, content, self.settings))
        return await self._changes.do(lambda: self._put(item_id, item, content, new))

    def _put(self, item_id: str, item: Item | None, content: Content, new: bool) -> bool:
        recommender = self.held.recommender
        columns = columns_of(content.columns, recommender.catalog)
        there = recommender.holds(item_id)
        if there and new:
            raise ServingError(
                f"the item {item_id!r} is there already",
                status=409,
                where="id",
                remedy="PUT /v1/items/{id} changes what an item is",
            )
        if there:
            recommender.update([item_id if item is None else item], columns)
        else:
            recommender.add([item_of(item_id, content, self.settings) if item is None else item], columns)
        return not there

    async def remove(self, item_id: str) -> None:
        """Recommend an item no more."""
        await self._changes.do(lambda: self.held.recommender.remove([item_id]))

    async def reload(self) -> int:
        """Go on with the run as it is now; the number of the new index."""
        if not self.held.can_reload:
            raise ServingError(
                "there is no run folder to load from", status=409, remedy="start the service with `transrec serve RUN`"
            )
        await self._changes.do(self.held.reload)
        return self.held.generation

    async def close(self) -> None:
        """Finish what was begun, and let others change items of the run."""
        await self._batcher.close()
        await asyncio.to_thread(self._changes.close)
        await asyncio.to_thread(self._model.close)
        self.held.recommender.close()

    async def _beside(self, work: Callable[[], Result]) -> Result:
        """Work that needs no model, in any thread."""
        if self._reading >= self.settings.max_waiting:
            raise overfull()
        self._reading += 1
        try:
            return await asyncio.to_thread(work)
        finally:
            self._reading -= 1


def _listed(found: Sequence[Recommendation]) -> dict[str, Any]:
    return {"items": [as_item(item) for item in found]}


def _told(now: Snapshot, rows: Sequence[int]) -> list[dict[str, Any]]:
    """Items for people and programs: id, title, text, columns, and which content there is."""
    catalog = now.catalog
    if not rows:
        return []
    return [
        {
            "id": item.id,
            "title": title,
            "text": item.text,
            "has": {name: bool(there[row]) for name, there in catalog.presence.items()},
            "columns": {name: _plain(value) for name, value in catalog.record(row).items()},
        }
        for row, item, title in zip(rows, catalog.items(rows), catalog.titles(rows), strict=True)
    ]


def _plain(value: Any) -> Any:
    """A column's value as JSON has it; what JSON has no word for as null (NaN) or as text (dates)."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _page(now: Snapshot, where: str | None, offset: int, limit: int) -> dict[str, Any]:
    there_V = np.ones(len(now.catalog), dtype=bool) if where is None else allowed_by(where, now.catalog)
    there_V[now.index.removed] = False
    rows = np.flatnonzero(there_V)
    page = rows[offset : offset + limit].tolist()
    return {"items": _told(now, page), "total": len(rows), "offset": offset}


def _thumbnail(now: Snapshot, item_id: str, side: int, form: str) -> tuple[bytes, str]:
    row = now.row(item_id)
    picture = now.catalog.items([row])[0].image
    if picture is None:
        raise ServingError(
            f"the item {item_id!r} has no picture", status=404, where="id", remedy="see `has` of GET /v1/items/{id}"
        )
    return thumbnail_of(picture, side, form), now.catalog.content_keys[row].hex()
