"""Streaming: pieces of work given to processes of Ray Data, and what they make of each, in order and once."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, Protocol

import pyarrow as pa

from transrec import errors
from transrec.cluster.asked import Cluster
from transrec.errors import ClusterError, TransRecError, require_extra

LOUD = ("ray.data", "ray.data._internal.progress")
"""Logs of Ray that tell of every pipeline what its plan is and that its progress is not drawn: we draw it."""


class Maker(Protocol):
    """What a process does: made once in every process, from what is given to all, then called for one piece at a time."""

    def __call__(self, piece: range) -> bytes:
        """What is made of a piece of rows or users."""
        ...


def made_in_order(
    ray: ModuleType,
    cluster: Cluster,
    maker: type[Maker],
    given: Mapping[str, Any],
    pieces: Sequence[range],
    *,
    on_gpus: bool = False,
) -> Iterator[bytes]:
    """What the makers make of each piece, in the order of the pieces, while further ones are made.

    A piece whose process is lost is made again by another; that it then comes twice, or not at all, is noticed here. Pieces
    are numbers alone: each process reads what they stand for from the shared storage, as one machine would.

    Args:
        ray: connected.
        cluster: how many processes there are.
        maker: is made in every process with the arguments ``given``.
        given: see there.
        pieces: of rows or users.
        on_gpus: whether each process takes a GPU instead of a CPU.

    Raises:
        ClusterError: what came back is not what was asked for, or a process failed in a way that is no mistake of ours.
        TransRecError: what a maker raised.
    """
    data = require_extra("ray.data", extra="cluster", purpose="--cluster")
    if not pieces:
        return
    context = data.DataContext.get_current().copy()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    for name in LOUD:
        logging.getLogger(name).setLevel(logging.ERROR)
    rows = [{"place": place, "start": piece.start, "stop": piece.stop} for place, piece in enumerate(pieces)]
    with data.DataContext.current(context):
        # numbers that are there already take no CPU to read, of which the processes may have all
        asked = data.from_items(rows, override_num_blocks=len(rows))
    made = asked.map_batches(
        _Row,
        fn_constructor_args=(maker, dict(given)),
        batch_size=1,
        batch_format="pyarrow",
        compute=data.ActorPoolStrategy(size=cluster.workers),
        **({"num_gpus": 1} if on_gpus else {"num_cpus": 1}),
    )
    expected = 0
    try:
        for row in made.iter_rows():
            if row["place"] != expected:
                raise ClusterError(
                    f"piece {row['place']} came from the cluster where {expected} was to come",
                    remedy="what was written is kept; give the same command again to go on",
                )
            if row["mistake"] is not None:
                raise _as_raised(json.loads(row["mistake"]))
            expected += 1
            yield row["made"]
    except ray.exceptions.RayError as error:
        raise ClusterError(
            f"the workers failed: {error}", remedy="what was written is kept; give the same command again to go on"
        ) from None
    if expected != len(pieces):
        raise ClusterError(
            f"{expected} of {len(pieces)} pieces came back from the cluster", remedy="give the same command again to go on"
        )


class _Row:
    """A maker as Ray Data calls it: a table of one piece in, its place with what was made out, or a mistake.

    A mistake is something that came back, not an error: Ray would wrap it until nothing of it was left but text.
    """

    def __init__(self, maker: type[Maker], given: Mapping[str, Any]) -> None:
        self._made: Callable[[], Maker] = functools.cache(functools.partial(maker, **given))

    def __call__(self, batch: pa.Table) -> pa.Table:
        [row] = batch.to_pylist()
        made = mistake = None
        try:
            made = self._made()(range(row["start"], row["stop"]))
        except TransRecError as error:
            mistake = json.dumps([type(error).__name__, error.what, error.where, error.remedy])
        columns = {"made": pa.array([made], pa.large_binary()), "mistake": pa.array([mistake], pa.string())}
        return pa.table({"place": [row["place"]], **columns})


def _as_raised(told: Sequence[Any]) -> TransRecError:
    kind, what, where, remedy = told
    known = getattr(errors, kind, ClusterError)
    made: TransRecError = known(what, where=where, remedy=remedy)
    return made
