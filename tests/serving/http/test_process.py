"""The service as a process: started from the command line, killed, started again, ended in peace."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from drawn import drawn
from serving_ground import PictureRun

WRITER = {"Authorization": "Bearer process-secret"}
PHOTO = {"image": ("photo.png", drawn(99), "image/png")}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def serving(seen: PictureRun, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    port = free_port()
    words = ["serve", str(seen.run), "--data", str(seen.data), "--port", str(port)]
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "transrec", *words],
            env={**os.environ, "TRANSREC_TOKEN": "process-secret"},
            stdout=out,
            stderr=out,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            end = time.monotonic() + 120
            while True:
                try:
                    if client.get("/v1/ready").status_code == 200:
                        break
                except httpx.TransportError:
                    assert process.poll() is None, log.read_text()
                    assert time.monotonic() < end, log.read_text()
                    time.sleep(0.2)
            yield process, client
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_an_added_photo_is_found_after_a_kill_and_the_end_is_graceful(tmp_path: Path) -> None:
    seen, log = PictureRun(tmp_path), tmp_path / "log"
    with serving(seen, log) as (process, client):
        assert client.post("/v1/items", headers=WRITER, data={"id": "new"}, files=PHOTO).status_code == 201
        found = client.post("/v1/search", files=PHOTO, data={"k": "1"}).json()
        assert [item["id"] for item in found["items"]] == ["new"]
        os.kill(process.pid, signal.SIGKILL)
    with serving(seen, log) as (process, client):
        again = client.post("/v1/search", files=PHOTO, data={"k": "1"}).json()
        assert again["items"][0]["id"] == "new"
        os.kill(process.pid, signal.SIGHUP)
        end = time.monotonic() + 60
        while client.get("/v1/ready").json()["generation"] == 1 and time.monotonic() < end:
            time.sleep(0.1)
        assert client.get("/v1/ready").json() == {"status": "ready", "items": 13, "generation": 2}
        statuses: list[int] = []

        def ask(asking: httpx.Client) -> None:
            statuses.append(asking.post("/v1/recommendations", json={"history": ["new"], "k": 3}).status_code)

        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(httpx.Client(base_url=client.base_url, timeout=30)) for _ in range(8)]
            for one in clients:
                one.get("/v1/health")  # connected, so that what is asked next is in flight
            askers = [threading.Thread(target=ask, args=(one,)) for one in clients]
            for asker in askers:
                asker.start()
            time.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            for asker in askers:
                asker.join()
        process.wait(30)
        assert process.returncode in (0, -signal.SIGTERM), log.read_text()
    assert statuses == [200] * 8, log.read_text()
    assert "process-secret" not in log.read_text()
