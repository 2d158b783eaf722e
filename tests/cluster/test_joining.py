"""A cluster is joined, or it is said at once why not."""

from __future__ import annotations

import socket
import sys
import time
from types import SimpleNamespace

import pytest

from transrec.cluster import joining
from transrec.cluster.asked import Cluster
from transrec.cluster.joining import joined, mistake_in, require_workers
from transrec.errors import ClusterError, DataError, MissingExtraError


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_nothing_at_an_address_is_told_at_once() -> None:
    begun = time.monotonic()
    with (
        pytest.raises(ClusterError, match=r"nothing answers at 127\.0\.0\.1:\d+ .*refused(.|\n)*ray start --head"),
        joined(Cluster(f"127.0.0.1:{closed_port()}", 2)),
    ):
        pass
    assert time.monotonic() - begun < joining.PATIENCE_S + 5


def test_something_else_at_an_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def refuses(**_: object) -> None:
        raise ConnectionError("could not find any running Ray instance")

    monkeypatch.setattr(ray, "init", refuses)
    with pytest.raises(ClusterError, match=r"could not find any running(.|\n)*ray start --head"), joined(Cluster("auto", 1)):
        pass
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(ClusterError, match=r"could not find any(.|\n)*on a node"), joined(Cluster(address, 1)):
            pass


def test_without_the_extra_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'transrec\[cluster\]'"), joined(Cluster("local", 1)):
        pass


def test_a_process_that_is_connected_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "shutdown", lambda: pytest.fail("it was let go"))
    with joined(Cluster(f"127.0.0.1:{closed_port()}", 2)) as connected:
        assert connected is ray


def test_every_worker_takes_a_cpu_or_a_gpu() -> None:
    small = SimpleNamespace(cluster_resources=lambda: {"CPU": 2.0}, nodes=lambda: [{"Alive": True}, {"Alive": False}])
    require_workers(small, 2, kind="CPU")
    with pytest.raises(ClusterError, match="--workers is 3, and the cluster has 2 CPUs on 1 node"):
        require_workers(small, 3, kind="CPU")
    with pytest.raises(ClusterError, match=r"the cluster has 0 GPUs(.|\n)*--training.device cpu"):
        require_workers(small, 1, kind="GPU")


def test_a_mistake_is_found_in_what_ray_makes_of_it() -> None:
    mistake = DataError("the item is damaged")
    assert mistake_in(mistake) is mistake
    assert mistake_in(OfRay(_base_exc=mistake)) is mistake
    assert mistake_in(OfRay(cause=OfRay(_base_exc=mistake))) is mistake
    wrapped = ValueError("wrapped")
    wrapped.__cause__ = mistake
    assert mistake_in(wrapped) is mistake
    own = ValueError("a fault of the program")
    own.__cause__ = own
    assert mistake_in(own) is None
    assert mistake_in(None) is None


class OfRay(Exception):
    """An error with these attributes."""

    def __init__(self, **attributes: object) -> None:
        super().__init__("of Ray")
        self.__dict__.update(attributes)
