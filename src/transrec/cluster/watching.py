"""Watching a training on a cluster: what Ray's controller tells and decides when a worker fails."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from transrec.cluster.joining import mistake_in


def watching() -> Any:
    """What tells that workers were lost, and ends a training at once when a worker says that a person has to mend something.

    It runs in Ray's controller, which starts workers anew after an error of theirs, but not after one of this. So this file
    imports nothing of what trains.
    """
    from ray.train import UserCallback

    class Watching(UserCallback):
        """See :func:`watching`."""

        def after_exception(self, run_context: Any, worker_exceptions: Mapping[int, BaseException]) -> None:  # noqa: ARG002
            told_of(worker_exceptions)

    return Watching()


def told_of(failures: Mapping[int, BaseException]) -> None:
    """Print which workers failed and what happens now.

    Args:
        failures: by rank.

    Raises:
        TransRecError: one of them says that a person has to mend something: started anew, it would say so again.
    """
    for error in failures.values():
        mistake = mistake_in(error)
        if mistake is not None:
            raise mistake
    lost = ", ".join(f"worker {rank} ({_first_line(error)})" for rank, error in sorted(failures.items()))
    print(f"lost: {lost}; all start anew and go on from the last checkpoint", file=sys.stderr, flush=True)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
