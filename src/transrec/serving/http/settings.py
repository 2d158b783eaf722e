"""What people choose about the service, and the tokens that guard it."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self, final

from pydantic import Field

from transrec.errors import ServingError, SettingsError
from transrec.settings import Settings

WRITE_TOKEN = "TRANSREC_TOKEN"
READ_TOKEN = "TRANSREC_READ_TOKEN"


class ServeSettings(Settings):
    """Where the service listens, and within which limits it answers."""

    host: str = "127.0.0.1"
    """the address to listen at; only this machine can reach the default one, 0.0.0.0 is every network that it is in"""
    port: int = Field(default=8000, ge=0, le=65535)
    """the port to listen at; 0 takes a free one"""
    max_body_bytes: int = Field(default=16_000_000, ge=1_000)
    """bytes of one request"""
    max_body_seconds: float = Field(default=30.0, gt=0)
    """time in which a request has to be there as a whole"""
    max_picture_pixels: int = Field(default=50_000_000, ge=1)
    """a picture with more pixels is refused before it is decoded"""
    max_history: int = Field(default=1_000, ge=1)
    """items in one history, and in one list of items to exclude"""
    max_inline: int = Field(default=20, ge=0)
    """items of one history that are given by their content: each of them is encoded"""
    max_k: int = Field(default=500, ge=1)
    """items in one answer"""
    batch_window_ms: float = Field(default=2.0, ge=0, le=1_000)
    """so long a request waits for others to be answered with, in milliseconds; none waits while others are answered"""
    max_batch: int = Field(default=64, ge=1)
    """requests that are answered together"""
    max_waiting: int = Field(default=512, ge=1)
    """requests that may wait for the model; further ones are refused with 503"""
    drain_seconds: int = Field(default=30, ge=0)
    """time in which requests are still answered after the service was told to end"""
    open_writes: bool = False
    """let everybody change items, without a token"""
    guard_reads: bool = False
    """ask for a token for reading, too: TRANSREC_READ_TOKEN or TRANSREC_TOKEN"""
    allow_picture_urls: bool = False
    """take pictures from http and https addresses that writers name; never from private ones"""
    reload_run: bool = False
    """watch the run folder, and go on with the new run when it changes; SIGHUP and POST /v1/admin/reload always do"""
    reload_seconds: float = Field(default=5.0, gt=0)
    """how often the run folder is looked at"""


@final
@dataclass(frozen=True, slots=True)
class Tokens:
    """Who may do what. The tokens are in no text that is made of this.

    Attributes:
        write: lets change items, and read.
        read: lets read.
        open_writes: nobody is asked for a token to write.
        guard_reads: readers are asked.
    """

    write: str | None = field(default=None, repr=False)
    read: str | None = field(default=None, repr=False)
    open_writes: bool = False
    guard_reads: bool = False

    @classmethod
    def of(cls, environment: Mapping[str, str], settings: ServeSettings) -> Self:
        """The tokens in the environment; a read token there means that readers are asked.

        Raises:
            SettingsError: readers are to be asked, and there is no token that they could have.
        """
        write, read = environment.get(WRITE_TOKEN) or None, environment.get(READ_TOKEN) or None
        if settings.guard_reads and not (write or read):
            raise SettingsError(
                "reading is to be guarded, and there is no token",
                where="guard_reads",
                remedy=f"set {READ_TOKEN} or {WRITE_TOKEN}",
            )
        return cls(write, read, settings.open_writes, settings.guard_reads or read is not None)

    def check(self, authorization: str | None, *, writing: bool) -> None:
        """Let a request pass.

        Args:
            authorization: the header of that name.
            writing: whether it would change something.

        Raises:
            ServingError: 401 without the right token; 403 where there is no token that would do.
        """
        if self.open_writes if writing else not self.guard_reads:
            return
        fitting = [token for token in ([self.write] if writing else [self.write, self.read]) if token]
        if not fitting:
            raise ServingError(
                "this service lets nobody change items",
                status=403,
                where="Authorization",
                remedy=f"start it with a token in {WRITE_TOKEN}, or with --open-writes where only friends can reach it",
            )
        scheme, _, given = (authorization or "").partition(" ")
        # every token is compared, in a time that does not depend on where they differ
        same = [hmac.compare_digest(given.strip().encode(), token.encode()) for token in fitting]
        if scheme.lower() != "bearer" or not any(same):
            raise ServingError(
                "the token is missing" if not authorization else "the token is not the right one",
                status=401,
                where="Authorization",
                remedy="send the header `Authorization: Bearer TOKEN`",
                headers={"WWW-Authenticate": "Bearer"},
            )
