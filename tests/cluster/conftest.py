"""A cluster of this machine for the tests of a file, with processes of two CPUs, and nothing left of it at the end."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator

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
