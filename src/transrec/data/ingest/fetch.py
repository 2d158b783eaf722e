"""Fetching pictures by http and https: bounded in time, size and number, resumable, and never unless asked for."""

from __future__ import annotations

import functools
import hashlib
import http.client
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, final
from urllib.parse import urlsplit

from pydantic import Field

from transrec.data.public import connect_public
from transrec.data.reading.findings import Reason, Trouble
from transrec.errors import NotPublicError
from transrec.settings import Settings

_PIECE = 1 << 16


class FetchSettings(Settings):
    """Whether pictures behind addresses are fetched, and within which limits."""

    fetch_images: bool = False
    """fetch pictures whose column holds an http or https address; each address is asked once, redirects are followed"""
    fetch_private: bool = False
    """fetch from addresses that are not on the public internet, too, such as a server of your own network; a table from
    somebody else could otherwise ask what only this machine can reach"""
    fetch_seconds: float = Field(default=20.0, gt=0)
    """time for one picture, from the first byte sent to the last received"""
    fetch_total_seconds: float = Field(default=3600.0, gt=0)
    """time for all pictures together"""
    fetch_bytes: int = Field(default=10_000_000, ge=1)
    """bytes of one picture"""
    fetch_number: int = Field(default=100_000, ge=0)
    """pictures fetched in one run; those kept from an earlier run do not count"""
    fetch_folder: Path | None = None
    """where fetched pictures are kept, so that an interrupted run goes on; next to the dataset by default"""


def is_address(value: str) -> bool:
    """Whether a value is an http or https address."""
    return value[:8].lower().startswith(("http://", "https://"))


def _public(kind: type[http.client.HTTPConnection], host: str, **more: Any) -> http.client.HTTPConnection:
    """A connection that leads to a public host only."""
    connection = kind(host, **more)
    # the standard library's own place to say how a connection is made; the name stays for TLS and the Host header
    setattr(connection, "_create_connection", connect_public)  # noqa: B010
    return connection


class _PublicHTTPHandler(urllib.request.HTTPHandler):
    """Connects to public hosts; where the environment names a proxy, that one connects."""

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Open it, at every step of a redirect."""
        return self.do_open(_kind(http.client.HTTPConnection, proxied=req.has_proxy()), req)


class _PublicHTTPSHandler(urllib.request.HTTPSHandler):
    """Likewise."""

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Open it, at every step of a redirect."""
        proxied = getattr(req, "_tunnel_host", None) is not None
        return self.do_open(_kind(http.client.HTTPSConnection, proxied=proxied), req)


def _kind(kind: type[http.client.HTTPConnection], *, proxied: bool) -> Any:
    """What makes connections: of this kind, to public hosts only unless a proxy is between."""
    return kind if proxied else functools.partial(_public, kind)


@final
class Fetcher:
    """Fetches pictures and keeps them in a folder; safe to call from several threads."""

    def __init__(self, settings: FetchSettings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._lock = threading.Lock()
        self._started = 0
        self._end = time.monotonic() + settings.fetch_total_seconds
        self._opener = urllib.request.OpenerDirector()  # without the handlers for files and ftp, also after a redirect
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPHandler() if settings.fetch_private else _PublicHTTPHandler(),
            urllib.request.HTTPSHandler() if settings.fetch_private else _PublicHTTPSHandler(),
            urllib.request.HTTPRedirectHandler(),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.HTTPDefaultErrorHandler(),
        ):
            self._opener.add_handler(handler)
        self._opener.addheaders = [("User-Agent", "transrec")]
        if settings.fetch_images:
            folder.mkdir(parents=True, exist_ok=True)

    def fetch(self, address: str) -> bytes | Trouble:
        """The bytes behind an address, from the folder if it was fetched before; or why not."""
        if not self._settings.fetch_images:
            return Trouble(Reason.NOT_FETCHED, address)
        kept = self._folder / hashlib.sha256(address.encode()).hexdigest()
        if kept.exists():
            return kept.read_bytes()
        with self._lock:
            if self._started >= self._settings.fetch_number:
                return Trouble(Reason.FETCH_LIMIT, f"{self._started:,} pictures fetched; not {address}")
            if time.monotonic() >= self._end:
                return Trouble(Reason.FETCH_LIMIT, f"{self._settings.fetch_total_seconds:g} seconds are over; not {address}")
            self._started += 1
        found = self._download(address)
        if isinstance(found, bytes):
            # whole or not at all: a run that is interrupted here leaves no half picture under the final name
            part = kept.with_suffix(f".{threading.get_ident()}.part")
            part.write_bytes(found)
            part.replace(kept)
        return found

    def _download(self, address: str) -> bytes | Trouble:
        limit = self._settings.fetch_bytes
        end = min(time.monotonic() + self._settings.fetch_seconds, self._end)
        try:
            parts = urlsplit(address)
            if not parts.hostname:
                return Trouble(Reason.FETCH_FAILED, f"no host in {address}")
            request = urllib.request.Request(address)
            with self._opener.open(request, timeout=max(end - time.monotonic(), 0.001)) as answer:
                if answer is None:
                    return Trouble(Reason.FETCH_FAILED, f"not http or https: {address}")
                pieces, size = [], 0
                while piece := answer.read1(_PIECE):  # read1 returns what is there, so a slow sender meets the clock
                    size += len(piece)
                    if size > limit:
                        return Trouble(Reason.FETCH_LIMIT, f"more than {limit:,} bytes: {address}")
                    if time.monotonic() > end:
                        return Trouble(Reason.FETCH_FAILED, f"took more than {self._settings.fetch_seconds:g} s: {address}")
                    pieces.append(piece)
            if answer.length:
                return Trouble(Reason.FETCH_FAILED, f"cut off after {size:,} bytes: {address}")
            return b"".join(pieces)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if isinstance(error, urllib.error.URLError) and isinstance(error.reason, NotPublicError):
                return Trouble(Reason.FETCH_FAILED, f"{error.reason} (--fetch-private fetches it all the same): {address}")
            return Trouble(Reason.FETCH_FAILED, f"{error}: {address}")
