"""Batches: what arrives together is answered together, and one bad request spoils no other."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from transrec.errors import DataError, ServingError
from transrec.serving.http.lanes import Batcher, Lane
from transrec.serving.request import Recommendations, Request


def answered(requests: Sequence[Request]) -> list[Recommendations]:
    if any(request.history[0] == "bad" for request in requests):
        raise DataError("bad is bad")
    return [Recommendations((), (str(request.history[0]),), ()) for request in requests]


def test_what_arrives_together_is_answered_together_and_each_gets_its_own() -> None:
    sizes: list[int] = []

    async def run() -> list[object]:
        batcher = Batcher(answered, lane := Lane("t", 9), window=0.2, most=4, waiting=9, told=sizes.append)
        names = ["a", "b", "bad", "c", "d", "e"]
        found = await asyncio.gather(*(batcher.ask(Request((name,))) for name in names), return_exceptions=True)
        await batcher.close()
        lane.close()
        return list(found)

    found = asyncio.run(run())
    assert sizes == [4, 2]
    assert isinstance(found[2], DataError)
    assert [one.used for one in found if isinstance(one, Recommendations)] == [("a",), ("b",), ("c",), ("d",), ("e",)]


def test_too_many_are_refused_and_the_others_answered() -> None:
    go = threading.Event()

    def slow(requests: Sequence[Request]) -> list[Recommendations]:
        go.wait(10)
        return answered(requests)

    async def run() -> list[object]:
        batcher = Batcher(slow, lane := Lane("t", 9), window=0, most=1, waiting=2, told=lambda _: None)
        first = asyncio.create_task(batcher.ask(Request(("first",))))
        await asyncio.sleep(0.05)  # it is being answered
        others = [asyncio.create_task(batcher.ask(Request((str(number),)))) for number in range(3)]
        await asyncio.sleep(0.05)
        go.set()
        found = await asyncio.gather(first, *others, return_exceptions=True)
        await batcher.close()
        lane.close()
        return list(found)

    found = asyncio.run(run())
    assert [type(one) for one in found] == [Recommendations] * 3 + [ServingError]
    assert isinstance(found[3], ServingError)
    assert found[3].status == 503
    assert found[3].headers == {"Retry-After": "1"}


def test_a_full_lane_refuses() -> None:
    async def run() -> None:
        lane = Lane("t", 1)
        first = asyncio.create_task(lane.do(lambda: threading.Event().wait(0.2)))
        await asyncio.sleep(0.01)
        with pytest.raises(ServingError, match="too many"):
            await lane.do(lambda: 1)
        await first
        assert await lane.do(lambda: 1) == 1
        lane.close()

    asyncio.run(run())
