"""Pictures behind addresses that a client names: from the public internet only, within limits, and never by a redirect."""

from __future__ import annotations

import functools
import http.client
import socket
import time
from urllib.parse import urlsplit

from transrec.data.public import public_address
from transrec.errors import NotPublicError, ServingError

_PIECE = 1 << 16
_PORTS = {"http": 80, "https": 443}


def fetch_public(address: str, *, most: int, seconds: float = 10.0) -> bytes:
    """The bytes behind an address.

    The name is looked up once, and the connection goes to what was found and checked: a name that answers differently the
    second time leads nowhere else.

    Args:
        address: http or https, on its usual port.
        most: bytes.
        seconds: for everything.

    Raises:
        ServingError: 422; it is no such address, not a public one, or does not answer with a picture in time.
    """
    end = time.monotonic() + seconds
    try:
        parts = urlsplit(address)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise _refused(str(error)) from None
    host = parts.hostname
    if not host or port != _PORTS.get(parts.scheme) or parts.username is not None:
        raise _refused("it is not http or https to a host on its usual port")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        found = public_address(host, port)
        connection = kind(host, port, timeout=seconds)
        # the standard library's own place to say how a connection is made; the name stays for TLS and the Host header
        setattr(connection, "_create_connection", functools.partial(_connect, found))  # noqa: B010
        try:
            connection.request("GET", path, headers={"User-Agent": "transrec"})
            return _read(connection.getresponse(), most, end)
        finally:
            connection.close()
    except NotPublicError:
        raise _refused("its host is not on the public internet") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _refused(f"it cannot be fetched ({type(error).__name__})") from None


def _connect(found: tuple[str, int], _: object, timeout: float, *__: object) -> socket.socket:
    return socket.create_connection(found, timeout)


def _read(answer: http.client.HTTPResponse, most: int, end: float) -> bytes:
    if answer.status != http.client.OK:
        raise _refused(f"it answers with {answer.status}, and redirects are not followed")
    pieces: list[bytes] = []
    size = 0
    while piece := answer.read1(_PIECE):
        size += len(piece)
        if size > most:
            raise _refused(f"it has more than {most:,} bytes")
        if time.monotonic() > end:
            raise _refused("it takes too long")
        pieces.append(piece)
    return b"".join(pieces)


def _refused(why: str) -> ServingError:
    return ServingError(
        f"the picture's address cannot be used: {why}",
        status=422,
        where="image_url",
        remedy="send the picture itself, as `image`",
    )
