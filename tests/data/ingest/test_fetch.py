"""Fetching from a server on this machine: limits, resuming, and refusal of all but http."""

import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from transrec.data import public
from transrec.data.ingest.fetch import Fetcher, FetchSettings, is_address
from transrec.data.reading.findings import Reason, Trouble

AWAY = {"/away": "/good", "/away-file": "file:///etc/passwd", "/inward": "http://127.0.0.1:1/secret"}


class _Server(http.server.BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/slow":
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                try:
                    self.wfile.write(b"x")
                    self.wfile.flush()
                except OSError:
                    return
                time.sleep(0.05)
            return
        if self.path in AWAY:
            self.send_response(302)
            self.send_header("Location", AWAY[self.path])
            self.end_headers()
            return
        self.send_response(200 if self.path != "/missing" else 404)
        if self.path == "/short":
            self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"picture" if self.path != "/large" else b"x" * 5000)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    _Server.asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def fetcher(folder: Path, **limits: object) -> Fetcher:
    return Fetcher(FetchSettings(fetch_images=True, **{"fetch_private": True, **limits}), folder / "kept")  # type: ignore[arg-type]


def reason(found: bytes | Trouble) -> Reason:
    assert isinstance(found, Trouble), found
    return found.reason


def test_off_unless_asked_for(tmp_path: Path, address: str) -> None:
    assert reason(Fetcher(FetchSettings(), tmp_path / "kept").fetch(address + "/good")) is Reason.NOT_FETCHED
    assert _Server.asked == []
    assert not (tmp_path / "kept").exists()


def test_what_came_is_not_asked_for_again(tmp_path: Path, address: str) -> None:
    assert fetcher(tmp_path).fetch(address + "/good") == b"picture"
    assert fetcher(tmp_path, fetch_number=0).fetch(address + "/good") == b"picture"
    assert _Server.asked == ["/good"]


def test_failures_are_asked_for_again(tmp_path: Path, address: str) -> None:
    for _ in range(2):
        assert reason(fetcher(tmp_path).fetch(address + "/missing")) is Reason.FETCH_FAILED
    assert _Server.asked == ["/missing", "/missing"]
    assert list((tmp_path / "kept").iterdir()) == []


def test_size_number_and_time_are_limited(tmp_path: Path, address: str) -> None:
    assert reason(fetcher(tmp_path, fetch_bytes=4999).fetch(address + "/large")) is Reason.FETCH_LIMIT
    one = fetcher(tmp_path, fetch_number=1)
    one.fetch(address + "/a")
    assert reason(one.fetch(address + "/b")) is Reason.FETCH_LIMIT
    start = time.monotonic()
    assert reason(fetcher(tmp_path, fetch_seconds=0.3).fetch(address + "/slow")) is Reason.FETCH_FAILED
    assert time.monotonic() - start < 2
    assert reason(fetcher(tmp_path, fetch_total_seconds=1e-9).fetch(address + "/c")) is Reason.FETCH_LIMIT


def test_an_answer_that_is_cut_off_is_not_kept(tmp_path: Path, address: str) -> None:
    assert reason(fetcher(tmp_path).fetch(address + "/short")) is Reason.FETCH_FAILED
    assert list((tmp_path / "kept").iterdir()) == []


def test_redirects_stay_within_http(tmp_path: Path, address: str) -> None:
    assert fetcher(tmp_path).fetch(address + "/away") == b"picture"
    assert reason(fetcher(tmp_path).fetch(address + "/away-file")) is Reason.FETCH_FAILED


@pytest.mark.parametrize(
    "bad", ["http://", "http://[", "http://127.0.0.1:99999/x", "file:///etc/passwd", "http://127.0.0.1/a b\n"]
)
def test_what_is_no_address_never_raises(tmp_path: Path, bad: str) -> None:
    assert reason(fetcher(tmp_path, fetch_seconds=1).fetch(bad)) is Reason.FETCH_FAILED


def test_addresses_are_recognised() -> None:
    assert is_address("HTTPS://a.b/c.jpg")
    assert not is_address("images/1.jpg")
    assert not is_address("ftp://a.b/c.jpg")


@pytest.mark.parametrize("path", ["/good", "/away"])
def test_what_is_not_on_the_public_internet_is_not_asked(tmp_path: Path, address: str, path: str) -> None:
    found = fetcher(tmp_path, fetch_private=False).fetch(address + path)
    assert reason(found) is Reason.FETCH_FAILED
    assert isinstance(found, Trouble)
    assert "not on the public internet (--fetch-private" in found.detail
    assert _Server.asked == []


def test_a_redirect_from_a_public_host_into_the_own_network_is_not_followed(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first host counts as public here; where it sends to does not."""
    host, port = "127.0.0.1", int(address.rpartition(":")[2])
    monkeypatch.setattr(public, "is_public", lambda _: False)
    plain = public.public_address

    def looked_up(name: str, at: int) -> tuple[str, int]:
        return (host, port) if name == "pictures.example" else plain(name, at)

    monkeypatch.setattr(public, "public_address", looked_up)
    found = fetcher(tmp_path, fetch_private=False).fetch("http://pictures.example/inward")
    assert _Server.asked == ["/inward"]
    assert isinstance(found, Trouble)
    assert "127.0.0.1 is not on the public internet" in found.detail
