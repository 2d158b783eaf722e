"""Which cluster is asked for, and what is said of flags that do not go together."""

from __future__ import annotations

import pytest

from transrec.cluster.asked import Cluster
from transrec.errors import SettingsError


def test_nothing_asks_for_no_cluster() -> None:
    assert Cluster.asked(None, None) is None


@pytest.mark.parametrize(
    ("address", "where"),
    [("local", None), ("auto", None), ("10.0.0.7:6379", ("10.0.0.7", 6379)), ("head.example:6379", ("head.example", 6379))],
)
def test_addresses(address: str, where: tuple[str, int] | None) -> None:
    asked = Cluster.asked(address, 3)
    assert asked == Cluster(address, 3)
    assert asked.host_and_port == where


@pytest.mark.parametrize(
    ("address", "workers", "told"),
    [
        (None, 2, "--cluster local"),
        ("local", None, "add --workers N"),
        ("local", 0, "give at least one"),
        ("head", 2, "HOST:PORT"),
        ("ray://head:10001", 2, "Ray's client"),
        ("http://head:8265", 2, "HOST:PORT"),
        ("", 2, "HOST:PORT"),
    ],
)
def test_what_does_not_go_together(address: str | None, workers: int | None, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        Cluster.asked(address, workers)
