"""Mounting: the playground's page at the root of the service's application."""

from __future__ import annotations

import base64
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from transrec.data.dataset import Dataset
from transrec.errors import SettingsError, require_extra
from transrec.serving.http.application import build_app
from transrec.serving.http.bodies import Content
from transrec.serving.http.held import Held
from transrec.serving.http.settings import ServeSettings, Tokens
from transrec.serving.playground.desk import Desk, Side
from transrec.serving.playground.page import build_page
from transrec.serving.recommender import Recommender

if TYPE_CHECKING:
    from fastapi import FastAPI

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'"
)
"""The page loads nothing from anywhere else, whatever the framework would like: who looks at it tells nobody."""
PRIVATE_SETTINGS = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}


def build_playground(
    held: Held,
    dataset: Dataset,
    *,
    name: str,
    others: dict[str, Recommender] | None = None,
    settings: ServeSettings | None = None,
    tokens: Tokens | None = None,
) -> FastAPI:
    """The service's application with the playground at ``/``; ``/v1`` is as it is without.

    Args:
        held: the recommender that is served.
        dataset: whose users and items these are.
        name: what the run is called on the page.
        others: further runs over the same dataset, shown beside it.
        settings: limits; the defaults when None.
        tokens: who may do what; from the environment when None. Visitors of the page may add items where everybody may.

    Raises:
        MissingExtraError: the extras ``serve`` and ``ui`` are not installed.
        SettingsError: readers are asked for a token, which a page cannot send.
    """
    chosen = settings or ServeSettings()
    guard = tokens or Tokens.of(os.environ, chosen)
    if guard.guard_reads:
        raise SettingsError(
            "readers are asked for a token, and a browser that opens the playground has none",
            where="guard_reads",
            remedy="leave the read token out for the playground, and let only those reach it who may see the items",
        )
    for variable, value in PRIVATE_SETTINGS.items():
        os.environ.setdefault(variable, value)  # the framework reads them when it is imported
    gradio: Any = require_extra("gradio", extra="ui", purpose="the playground")
    app = build_app(held, chosen, guard)
    service = app.state.service

    async def add(item_id: str, text: str | None, picture: bytes | None) -> None:
        given = {"text": text, "image": None if picture is None else base64.b64encode(picture).decode()}
        await service.put(item_id, Content(**{key: value for key, value in given.items() if value is not None}), new=True)

    sides = [Side(name, lambda: held.recommender)]
    sides += [Side(other, _always(recommender)) for other, recommender in (others or {}).items()]
    page = build_page(Desk(sides, dataset), chosen, add if guard.open_writes else None)
    sans = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    app.add_middleware(_Private)
    mounted: FastAPI = gradio.mount_gradio_app(
        app,
        page,
        "/",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        show_error=False,
        max_file_size=chosen.max_body_bytes,
        theme=gradio.themes.Default(font=sans, font_mono=["ui-monospace", "Consolas", "monospace"]),
        css=Path(__file__).with_name("page.css").read_text(),
    )
    return mounted


def _always(recommender: Recommender) -> Callable[[], Recommender]:
    return lambda: recommender


@final
class _Private:
    """ASGI middleware: every page says where its parts may come from."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Callable[..., Awaitable[None]]) -> None:
        async def private(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start" and not scope["path"].startswith("/v1"):
                own = [(b"content-security-policy", POLICY.encode()), (b"referrer-policy", b"no-referrer")]
                message["headers"] = [*message.get("headers", ()), *own]
            await send(message)

        await self._app(scope, receive, private)
