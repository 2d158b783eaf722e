"""Problems: every error of the service as ``application/problem+json`` (RFC 9457), with what, where and remedy."""

from __future__ import annotations

import http
import json
from collections.abc import Sequence
from typing import Any

from transrec.errors import DataError, ModelError, RunError, ServingError, TransRecError, UnknownItemError

PROBLEM_TYPE = "application/problem+json"
_STATUS: tuple[tuple[type[TransRecError], int], ...] = (
    (UnknownItemError, 404),
    (DataError, 422),
    (ModelError, 422),
    (RunError, 503),
)
_REMEDIES = {
    404: "see /v1/openapi.json for what there is",
    405: "see /v1/openapi.json for the methods of each path",
    400: "see /v1/openapi.json for what a request looks like",
}


def status_of(error: TransRecError) -> int:
    """The HTTP status that says what an error says."""
    if isinstance(error, ServingError):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def problem_of(error: TransRecError) -> dict[str, Any]:
    """An error as the fields of a problem."""
    status = status_of(error)
    return {
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": error.what,
        "what": error.what,
        "where": error.where,
        "remedy": error.remedy or _REMEDIES.get(status, "change the request, or ask whoever runs the service"),
    }


def body_of(problem: dict[str, Any]) -> bytes:
    """A problem as JSON. ASCII only: what a client sent may hold what no encoding can write."""
    return json.dumps(problem).encode()


def of_status(status: int, detail: str) -> ServingError:
    """The error for a status that the framework came up with."""
    told = {404: "there is no such path", 405: "this path does not know the method"}
    return ServingError(told.get(status, detail), status=status)


def of_validation(errors: Sequence[Any]) -> ServingError:
    """What does not fit the form of a request, as one error; the values themselves are not sent back.

    Args:
        errors: of pydantic.
    """
    told = [(".".join(str(part) for part in error["loc"]), str(error["msg"])) for error in errors[:5]]
    more = f"; and {len(errors) - 5} more" if len(errors) > 5 else ""
    return ServingError(
        "; ".join(f"{where}: {what}" if where else what for where, what in told) + more,
        status=422,
        where=told[0][0] if told else None,
        remedy="see /v1/openapi.json for the fields, their types and their limits",
    )
