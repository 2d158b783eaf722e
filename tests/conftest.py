"""What every test may count on: no network, one thread, no display, the same fresh weights, and its own environment."""

import os
import socket
import zlib
from collections.abc import Iterator
from typing import Any

# before torch, transformers or matplotlib are imported: they read these once
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest

from transrec.seeding import seeded

# the same examples every time, however slow the machine is; make test-long draws new ones (--hypothesis-profile drawn)
hypothesis.settings.register_profile("repeated", deadline=None, derandomize=True)
hypothesis.settings.register_profile("drawn", deadline=None)
hypothesis.settings.load_profile("repeated")

LOCAL = ("127.0.0.1", "::1", "localhost")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with long tests first: where files are dealt out to processes, none is left alone with one at the end."""
    long = {item.path for item in items if any(item.get_closest_marker(name) for name in ("slow", "transfer"))}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that leaves this machine fails at once, so that no test can come to depend on one."""
    if request.node.get_closest_marker("network"):
        return
    connect = socket.socket.connect

    def connect_locally(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOCAL:
            raise OSError(
                f"tests have no network; this one wanted {address[0]}: serve it from 127.0.0.1, or mark it network"
            )
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_locally)


@pytest.fixture(autouse=True)
def _the_same_weights(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test draws without a generator, it draws again the next time: what fails fails for whoever looks."""
    with seeded(zlib.crc32(request.node.nodeid.encode())):
        yield


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run with every kind of content, exported; it is made once because translating to ONNX takes seconds a graph."""
    from exporting_ground import ExportedRun

    return ExportedRun(tmp_path_factory.mktemp("exported"))
