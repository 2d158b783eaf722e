"""Every error that transrec raises on purpose.

::

    TransRecError                what is wrong, where, and what to do, in one message
    ├── SettingsError            a setting is unknown, missing, or out of range
    ├── DataError                tables or pictures that cannot be used
    │   └── UnknownItemError     an item id that the catalog does not hold
    ├── ModelError               parts that do not fit together, or weights that do not fit the parts
    │   └── BackboneError        a pre-trained encoder that cannot be found or read
    ├── RunError                 a run folder that is missing, incomplete, or belongs to other data
    ├── TrainingError            training that cannot go on (a loss that is not a number, nothing to learn)
    ├── EvaluationError          scores or targets that cannot be ranked
    ├── ExportError              a part of a model that cannot leave PyTorch, or answers otherwise outside
    ├── NotPublicError           a host, named by data, that is not on the public internet
    ├── ServingError             a request that the service does not answer
    ├── ClusterError             machines that cannot be reached, are too few, or do not see what they shall work on
    └── MissingExtraError        an optional part of transrec that is not installed

Beside the tree stands Stopped, a ``KeyboardInterrupt``: nothing is wrong, somebody told a training to end.

Wrong use of a Python signature stays a ``TypeError`` or ``ValueError``; everything that a person's input, files or
settings can cause is in this tree, so an application needs one ``except``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType


class TransRecError(Exception):
    """Something that the person at the keyboard can mend.

    Args:
        what: what is wrong, with the numbers.
        where: the file, row, column, setting or part that it concerns.
        remedy: what to do about it.
    """

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        place = f" [{where}]" if where else ""
        mend = f"\n  To mend it: {remedy}" if remedy else ""
        super().__init__(f"{what}{place}{mend}")


class SettingsError(TransRecError):
    """A setting is unknown, missing, or out of range."""


class DataError(TransRecError):
    """Tables or pictures that cannot be used."""


class UnknownItemError(DataError):
    """An item id that the catalog does not hold."""


class ModelError(TransRecError):
    """Parts that do not fit together, or weights that do not fit the parts."""


class BackboneError(ModelError):
    """A pre-trained encoder that cannot be found or read."""


class RunError(TransRecError):
    """A run folder that is missing, incomplete, or belongs to other data."""


class TrainingError(TransRecError):
    """Training that cannot go on."""


class EvaluationError(TransRecError):
    """Scores or targets that cannot be ranked."""


class ExportError(TransRecError):
    """A part of a model that cannot leave PyTorch, or answers otherwise outside."""


class ServingError(TransRecError):
    """A request that the service does not answer.

    Args:
        what: what is wrong.
        status: the HTTP status.
        where: the part of the request that it concerns.
        remedy: what to do about it.
        headers: of the answer.
    """

    def __init__(
        self,
        what: str,
        *,
        status: int,
        where: str | None = None,
        remedy: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.status = status
        self.headers = dict(headers or {})


class ClusterError(TransRecError):
    """Machines that cannot be reached, are too few, or do not see what they shall work on."""


class MissingExtraError(TransRecError):
    """An optional part of transrec that is not installed."""


class NotPublicError(TransRecError, OSError):
    """A host is not, or not only, on the public internet; for libraries that connect, a connection that failed."""


class Stopped(KeyboardInterrupt):
    """A training was told to end, and has ended with its state kept.

    Attributes:
        step: steps done.
        signal: the number of the signal.
        kept: whether there is a folder that it can go on from.
    """

    def __init__(self, step: int, number: int, *, kept: bool) -> None:
        self.step = step
        self.signal = number
        self.kept = kept
        how = "its state is kept, --resume goes on from there" if kept else "without a folder its state is not kept"
        super().__init__(f"the training was told to end after step {step}; {how}")


def require_extra(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import ``module``, or say which extra brings it.

    Args:
        module: the import name of the library.
        extra: the extra of transrec that installs it.
        purpose: what it is needed for, as the object of "needed for".

    Raises:
        MissingExtraError: the library is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise  # the library is there, but one of its own parts is not: its message says more than ours
        raise MissingExtraError(
            f"{module!r} is not installed; it is needed for {purpose}",
            remedy=f"pip install 'transrec[{extra}]'",
        ) from None
