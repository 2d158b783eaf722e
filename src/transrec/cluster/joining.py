"""Joining a cluster: connected while something is done, or told at once why not."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from transrec.cluster.asked import AUTO, LOCAL, Cluster
from transrec.errors import ClusterError, TransRecError, require_extra

PATIENCE_S = 5.0
"""Seconds in which the head node has to answer; Ray itself goes on trying for more than ten minutes."""


@contextmanager
def joined(cluster: Cluster) -> Iterator[ModuleType]:
    """The module ``ray``, connected to the cluster until the context ends.

    A process that is connected already stays so, whatever the address says.

    Raises:
        MissingExtraError: Ray is not installed.
        ClusterError: the cluster cannot be reached.
    """
    ray = require_extra("ray", extra="cluster", purpose="--cluster")
    if ray.is_initialized():
        yield ray
        return
    _connect(ray, cluster)
    try:
        yield ray
    finally:
        ray.shutdown()


def _connect(ray: ModuleType, cluster: Cluster) -> None:
    """Start a cluster of this machine, or connect to one that is there.

    Raises:
        ClusterError: it cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster that we start reports to nobody
    if cluster.address == LOCAL:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "lance is not fork-safe")  # what Ray starts is another program at once
            # nothing outside this machine has to reach it
            ray.init(address=LOCAL, include_dashboard=False, logging_level="error", _node_ip_address="127.0.0.1")
        return
    if cluster.host_and_port is not None:
        _require_answer(*cluster.host_and_port)
    try:
        ray.init(address=cluster.address, logging_level="error")
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        remedy = (
            "start a node here: ray start --head, or ray start --address HOST:PORT, or take --cluster local"
            if cluster.address == AUTO
            else "give the command on a node of the cluster (ray start --address HOST:PORT makes this machine one), with "
            "the same versions of Python and Ray as the head node"
        )
        raise ClusterError(f"the cluster cannot be joined: {error}", where=cluster.address, remedy=remedy) from None


def _require_answer(host: str, port: int) -> None:
    """See whether anything listens there.

    Raises:
        ClusterError: nothing does.
    """
    try:
        socket.create_connection((host, port), timeout=PATIENCE_S).close()
    except OSError as error:
        raise ClusterError(
            f"nothing answers at {host}:{port} ({error.strerror or error})",
            where="--cluster",
            remedy="`ray start --head` tells the address; see whether the head node runs and its port is open to this "
            "machine, or take --cluster local",
        ) from None


def require_workers(ray: ModuleType, workers: int, *, kind: str) -> None:
    """See whether there is a CPU or GPU for each worker.

    Args:
        ray: connected.
        workers: how many.
        kind: ``CPU`` or ``GPU``.

    Raises:
        ClusterError: there are fewer.
    """
    there = int(ray.cluster_resources().get(kind, 0))
    if there < workers:
        alive = sum(bool(node["Alive"]) for node in ray.nodes())
        raise ClusterError(
            f"--workers is {workers}, and the cluster has {there} {kind}{'' if there == 1 else 's'} on {alive} "
            f"{'node' if alive == 1 else 'nodes'}; every worker takes one",
            remedy="ask for fewer workers, or start more nodes first"
            + ("; without GPUs, say that the CPU is meant: --training.device cpu or --device cpu" if kind == "GPU" else ""),
        )


def mistake_in(error: BaseException | None) -> TransRecError | None:
    """The error of ours that an error of Ray's stands for; None where it stands for something else."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, TransRecError):
            return error
        seen.add(id(error))
        inner = getattr(error, "cause", None) or getattr(error, "_base_exc", None)
        error = inner if isinstance(inner, BaseException) else error.__cause__ or error.__context__
    return None
