"""Running: the application in a server, until somebody ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transrec.errors import require_extra
from transrec.serving.http.settings import ServeSettings

if TYPE_CHECKING:
    from fastapi import FastAPI


def run_server(app: FastAPI, settings: ServeSettings) -> None:
    """Serve until SIGINT or SIGTERM; requests that are there by then are answered.

    Raises:
        MissingExtraError: the extra ``serve`` is not installed.
    """
    uvicorn: Any = require_extra("uvicorn", extra="serve", purpose="the service")
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_level="info",
        access_log=False,  # metrics count requests; paths hold ids of people's items
        server_header=False,
        timeout_graceful_shutdown=settings.drain_seconds,
    )
    uvicorn.Server(config).run()
