"""The door: what happens to every request before anything reads it, and to every answer after.

The token is looked at before the body is; the body is taken in within its limits of size and time, whatever its header says
of its length; what goes wrong inside leaves as a problem.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, final

from transrec.errors import ServingError, TransRecError
from transrec.serving.http.metrics import Metrics
from transrec.serving.http.problems import PROBLEM_TYPE, body_of, problem_of, status_of
from transrec.serving.http.settings import ServeSettings, Tokens

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN = ("/v1/health", "/v1/ready", "/v1/openapi.json")
"""Paths that never ask for a token: whoever watches over processes has none, and the form of requests is no secret."""
WRITING = ("/v1/items", "/v1/admin")
BODIES = ("application/json", "multipart/form-data")
_LOG = logging.getLogger("transrec.serving")


@final
class Door:
    """ASGI middleware.

    Args:
        app: what is behind it.
        settings: the limits of a body.
        tokens: who may do what.
        metrics: is told of every answer.
    """

    def __init__(self, app: App, *, settings: ServeSettings, tokens: Tokens, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._tokens = tokens
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v1"):
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                route = getattr(scope.get("route"), "path", "other")
                self._metrics.answered(str(route), _method(scope), status, time.perf_counter() - began)
            await send(message)

        try:
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
            self._admit(scope, headers)
            body = await self._taken(headers, receive)
            await self._app(scope, _again(body, receive), counted)
        except Exception as error:  # nothing that goes wrong inside may leave the client without an answer
            if status:
                raise  # half an answer is out: the server can only hang up
            if not isinstance(error, TransRecError):
                _LOG.exception("%s %s failed", _method(scope), scope["path"])
                error = ServingError("the service failed at this request", status=500, remedy="see its log, and report it")
            await refuse(error, counted)

    def _admit(self, scope: Scope, headers: dict[str, str]) -> None:
        """Raise unless the request may come in."""
        path: str = scope["path"]
        if path not in OPEN:
            writing = path.startswith(WRITING) and scope["method"] not in ("GET", "HEAD", "OPTIONS")
            self._tokens.check(headers.get("authorization"), writing=writing)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        bodied = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        if bodied and kind not in BODIES:
            raise ServingError(
                f"a body of type {kind[:100]!r} is not understood",
                status=415,
                where="Content-Type",
                remedy=f"send {' or '.join(BODIES)}",
            )

    async def _taken(self, headers: dict[str, str], receive: Receive) -> bytes:
        """The body as a whole."""
        most = self._settings.max_body_bytes
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > most:
            raise _too_large(most)
        pieces, size = [], 0
        try:
            async with asyncio.timeout(self._settings.max_body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ServingError("the client went away", status=400)
                    pieces.append(message.get("body", b""))
                    size += len(pieces[-1])
                    if size > most:
                        raise _too_large(most)
                    if not message.get("more_body", False):
                        return b"".join(pieces)
        except TimeoutError:
            raise ServingError(
                f"the body was not there after {self._settings.max_body_seconds:g} s",
                status=408,
                remedy="send it faster, or less of it",
                headers={"Connection": "close"},
            ) from None


def _method(scope: Scope) -> str:
    """The method as a label: whatever a client makes up is one."""
    method = str(scope["method"])
    return method if method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH") else "other"


def _too_large(most: int) -> ServingError:
    return ServingError(
        f"the body has more than {most:,} bytes",
        status=413,
        remedy="send less: pictures are made small anyway (--max-body-bytes changes the limit)",
        headers={"Connection": "close"},
    )


def _again(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives a body that was read once more, and then whatever comes."""
    given = False

    async def once() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once


async def refuse(error: TransRecError, send: Send) -> None:
    """Send an error as a problem."""
    body = body_of(problem_of(error))
    headers = {"content-type": PROBLEM_TYPE, "content-length": str(len(body))}
    headers |= {name.lower(): value for name, value in (error.headers if isinstance(error, ServingError) else {}).items()}
    start = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status_of(error), "headers": start})
    await send({"type": "http.response.body", "body": body})
