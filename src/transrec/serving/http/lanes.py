"""Lanes: the threads in which models run and items change, so that the event loop never waits for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, final

from transrec.errors import ServingError, TransRecError
from transrec.serving.request import Recommendations, Request

Answered = Recommendations | Exception
Result = TypeVar("Result")


def overfull() -> ServingError:
    """What is said to those who would have to wait too long."""
    return ServingError(
        "too many requests are waiting",
        status=503,
        remedy="try again in a second, or run more services",
        headers={"Retry-After": "1"},
    )


@final
class Lane:
    """One thread that does one thing after the other.

    Args:
        name: of the thread.
        most: things that may wait for it.
    """

    def __init__(self, name: str, most: int) -> None:
        self._threads = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._most = most
        self._waiting = 0

    async def do(self, work: Callable[[], Result]) -> Result:
        """What ``work`` returns.

        Raises:
            ServingError: too much is waiting.
        """
        if self._waiting >= self._most:
            raise overfull()
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End when what was begun is done."""
        self._threads.shutdown(wait=True, cancel_futures=True)


@final
class Batcher:
    """Answers requests that arrive together with one call.

    The first request opens a window; those that come before it closes are answered with it, in the lane of the model. While
    the lane is busy further ones gather, so that batches grow with the load and nobody waits for an idle model longer than
    the window.

    Args:
        answer: the answers to some requests, all or none.
        lane: where it is called.
        window: seconds.
        most: requests in one batch.
        waiting: requests that may wait.
        told: is told the size of each batch.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Request]], Sequence[Recommendations]],
        lane: Lane,
        *,
        window: float,
        most: int,
        waiting: int,
        told: Callable[[int], None],
    ) -> None:
        self._answer = answer
        self._lane = lane
        self._window = window
        self._most = most
        self._told = told
        self._queue: asyncio.Queue[tuple[Request, asyncio.Future[Recommendations]]] = asyncio.Queue(waiting)
        self._task: asyncio.Task[None] | None = None

    async def ask(self, request: Request) -> Recommendations:
        """The answer to one request.

        Raises:
            ServingError: too many are waiting.
            TransRecError: the request cannot be answered; others in its batch are.
        """
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._serve())
        future: asyncio.Future[Recommendations] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((request, future))
        except asyncio.QueueFull:
            raise overfull() from None
        return await future

    async def close(self) -> None:
        """Stop; whoever is still waiting is told."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        while not self._queue.empty():
            _, future = self._queue.get_nowait()
            if not future.done():
                future.set_exception(overfull())

    async def _serve(self) -> None:
        while True:
            batch = [await self._queue.get()]
            end = time.monotonic() + self._window
            while len(batch) < self._most:
                try:
                    batch.append(self._queue.get_nowait())
                    continue
                except asyncio.QueueEmpty:
                    left = end - time.monotonic()
                if left <= 0:
                    break
                try:
                    batch.append(await asyncio.wait_for(self._queue.get(), left))
                except TimeoutError:
                    break
            batch = [(request, future) for request, future in batch if not future.done()]  # who went away is left out
            if batch:
                await self._reply(batch)

    async def _reply(self, batch: Sequence[tuple[Request, asyncio.Future[Recommendations]]]) -> None:
        self._told(len(batch))
        requests = [request for request, _ in batch]
        try:
            answers = await self._lane.do(lambda: self._answered(requests))
        except Exception as error:  # the lane is full or closed: each of them has to hear it
            answers = [error] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    def _answered(self, requests: Sequence[Request]) -> list[Answered]:
        """The answers; where the batch fails each request gets its own, so that one cannot spoil those of others."""
        try:
            return list(self._answer(requests))
        except Exception as error:
            if len(requests) == 1:
                if not isinstance(error, TransRecError):
                    error.add_note("while a request was answered")
                return [error]
            return [self._answered([request])[0] for request in requests]
