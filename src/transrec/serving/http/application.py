"""The application: routes behind the door, with what runs beside them while it lives."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from transrec._version import __version__
from transrec.errors import TransRecError, require_extra
from transrec.serving.http.door import Door
from transrec.serving.http.held import Held
from transrec.serving.http.item_routes import add_changing, add_looking
from transrec.serving.http.metrics import Metrics
from transrec.serving.http.problems import PROBLEM_TYPE, body_of, of_status, of_validation, problem_of, status_of
from transrec.serving.http.routes import PROBLEMS, add_asking, add_operations
from transrec.serving.http.service import Service
from transrec.serving.http.settings import ServeSettings, Tokens

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

_LOG = logging.getLogger("transrec.serving")
_ABOUT = """Recommendations from what items are. Errors are `application/problem+json` and say what to do.
Changing items takes the header `Authorization: Bearer TOKEN`."""


def build_app(held: Held, settings: ServeSettings | None = None, tokens: Tokens | None = None) -> FastAPI:
    """An application that serves a recommender.

    Args:
        held: the recommender.
        settings: limits; the defaults when None.
        tokens: who may do what; from the environment when None.

    Raises:
        MissingExtraError: the extra ``serve`` is not installed.
        SettingsError: readers are to be asked for a token that there is not.
    """
    fastapi: Any = require_extra("fastapi", extra="serve", purpose="the service")
    require_extra("python_multipart", extra="serve", purpose="the service")
    chosen = settings or ServeSettings()
    guard = tokens or Tokens.of(os.environ, chosen)
    metrics = Metrics()
    service = Service(held, chosen, metrics)
    app: FastAPI = fastapi.FastAPI(
        title="transrec",
        version=__version__,
        description=_ABOUT,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # the framework's pages load their scripts from elsewhere, and tell that host who reads them
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lambda _: _beside(service),
    )
    router = fastapi.APIRouter(prefix="/v1", responses=PROBLEMS)
    add_asking(router, service)
    add_operations(router, service)
    add_looking(router, service)
    add_changing(router, service)
    app.include_router(router)
    app.state.service = service
    app.add_middleware(Door, settings=chosen, tokens=guard, metrics=metrics)
    _say_problems(app)
    _describe_tokens(app)
    return app


def _say_problems(app: FastAPI) -> None:
    """Let every error leave as a problem; what nobody expected is the door's."""
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException
    from starlette.responses import Response

    def said(error: TransRecError, headers: Any = None) -> Response:
        own = {**(headers or {}), **getattr(error, "headers", {})}
        return Response(body_of(problem_of(error)), status_of(error), own, PROBLEM_TYPE)

    @app.exception_handler(TransRecError)
    async def ours(_: Request, error: TransRecError) -> Response:
        return said(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return said(of_validation(error.errors()))

    @app.exception_handler(HTTPException)
    async def framework(_: Request, error: HTTPException) -> Response:
        return said(of_status(error.status_code, str(error.detail)), error.headers)


def _describe_tokens(app: FastAPI) -> None:
    """Say in OpenAPI that a bearer token may be asked for; the door asks, before a route is looked for."""
    plain = app.openapi

    @functools.cache
    def with_tokens() -> dict[str, Any]:
        schema = plain()
        schema.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{}, {"token": []}]
        return schema

    app.openapi = with_tokens  # type: ignore[method-assign]


@contextlib.asynccontextmanager
async def _beside(service: Service) -> AsyncIterator[None]:
    """What runs while the application does."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def reload_soon() -> None:
        tasks.add(task := asyncio.create_task(_reload(service)))
        task.add_done_callback(tasks.discard)

    # only the main thread of a program can listen to signals, and not every system has this one
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError, AttributeError):
        loop.add_signal_handler(signal.SIGHUP, reload_soon)
    if service.settings.reload_run and service.held.run is not None:
        tasks.add(asyncio.create_task(_watch(service)))
    try:
        yield
    finally:
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await service.close()


async def _watch(service: Service) -> None:
    """Reload when the run is another one, and has not been written to for one look."""
    served = before = await asyncio.to_thread(service.held.signature)
    while True:
        await asyncio.sleep(service.settings.reload_seconds)
        now = await asyncio.to_thread(service.held.signature)
        if now is not None and now == before != served:
            served = now
            await _reload(service)
        before = now


async def _reload(service: Service) -> None:
    """Reload, and write down how it went: nobody waits for an answer."""
    try:
        generation = await service.reload()
    except Exception as error:  # the present index goes on; the next change is another chance
        _LOG.error("the run was not reloaded, the present one goes on: %s", error)
    else:
        _LOG.warning("reloaded the run: index %d with %d items", generation, service.count())
