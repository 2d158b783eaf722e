"""Addresses: only the public internet, whatever a name says."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from transrec.data.public import is_public
from transrec.errors import ServingError
from transrec.serving.http import addresses
from transrec.serving.http.addresses import fetch_public


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "100.64.0.1"),
        *("::1", "::ffff:127.0.0.1", "fe80::1%eth0", "64:ff9b::7f00:1", "2002:7f00:1::", "fd00::1"),
    ],
)
def test_private_addresses(address: str) -> None:
    assert not is_public(address)


def test_public_addresses() -> None:
    assert is_public("93.184.215.14")
    assert is_public("2606:2800:21f:cb07:6820:80da:af6b:8b2c")


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1/", "http://localhost/", "http://[::1]/", "http://2130706433/", "ftp://example.org/", "file:///etc/passwd",
     "http://user@127.0.0.1/", "http://93.184.215.14:22/", "http://", "http://[", "x"],
)  # fmt: skip
def test_what_is_not_fetched(address: str) -> None:
    with pytest.raises(ServingError, match="cannot be used"):
        fetch_public(address, most=1_000)


@pytest.fixture
def server() -> Iterator[int]:
    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/away":
                self.send_response(302)
                self.send_header("Location", "/big")
                self.end_headers()
                return
            body = b"x" * (5_000 if self.path == "/big" else 5)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield found.server_port
    found.shutdown()
    found.server_close()


def test_the_address_that_was_checked_is_the_one_that_is_asked(server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def looked_up(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(2, 1, 6, "", ("93.184.215.14", port))]

    def connect(found: tuple[str, int], *_: Any) -> socket.socket:
        assert found == ("93.184.215.14", 80)
        return _connected(server)

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    monkeypatch.setattr(addresses, "_connect", connect)
    assert fetch_public("http://pictures.example/small", most=1_000) == b"xxxxx"
    assert asked == ["pictures.example"]
    with pytest.raises(ServingError, match="more than 1,000 bytes"):
        fetch_public("http://pictures.example/big", most=1_000)
    with pytest.raises(ServingError, match="redirects are not followed"):
        fetch_public("http://pictures.example/away", most=1_000)


def _connected(port: int) -> socket.socket:
    found = socket.socket()
    found.connect(("127.0.0.1", port))
    return found
