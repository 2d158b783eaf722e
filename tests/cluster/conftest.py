"""A cluster of this machine for the tests of a file, of two CPUs, and nothing left of it at the end; or none at all."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

# before Ray is imported: it reads these once
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_AUTH_MODE"] = "disabled"  # else it writes a token into the home of whoever tests

STORE = 80 << 20
"""Bytes of the object store; Ray takes no fewer than 75 MiB."""


@pytest.fixture(scope="module")
def joined_here() -> Iterator[None]:
    """This process is connected to a cluster of two CPUs."""
    import ray

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(
            address="local",
            num_cpus=2,
            object_store_memory=STORE,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="error",
            _node_ip_address="127.0.0.1",
        )
    yield
    ray.shutdown()


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Ray Data would have processes do is done by this one: all is tried but Ray, which has tests of its own."""
    from transrec.cluster import encoding, lists

    def made(
        ray: ModuleType,
        cluster: Any,
        maker: type,
        given: Mapping[str, Any],
        pieces: Sequence[range],
        *,
        on_gpus: bool = False,
    ) -> Iterator[bytes]:
        one = maker(**given)
        yield from map(one, pieces)

    fake = SimpleNamespace(cluster_resources=lambda: {"CPU": 2.0}, nodes=lambda: [{"Alive": True}])
    for module in (encoding, lists):
        monkeypatch.setattr(module, "made_in_order", made)
        monkeypatch.setattr(module, "joined", lambda _: nullcontext(fake))
