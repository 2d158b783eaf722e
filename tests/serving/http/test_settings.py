"""Tokens: who may do what, and that they are told to nobody."""

from __future__ import annotations

import pytest

from transrec.errors import ServingError, SettingsError
from transrec.serving.http.settings import ServeSettings, Tokens


def status(tokens: Tokens, authorization: str | None, *, writing: bool) -> int:
    try:
        tokens.check(authorization, writing=writing)
    except ServingError as error:
        return error.status if error.remedy else 0
    return 200


def test_nobody_writes_without_a_token_in_the_environment() -> None:
    tokens = Tokens.of({}, ServeSettings())
    assert status(tokens, None, writing=False) == 200
    assert status(tokens, "Bearer ", writing=True) == status(tokens, "Bearer x", writing=True) == 403
    assert status(Tokens.of({"TRANSREC_TOKEN": ""}, ServeSettings()), "Bearer ", writing=True) == 403
    assert status(Tokens.of({}, ServeSettings(open_writes=True)), None, writing=True) == 200


def test_the_right_token_lets_write() -> None:
    tokens = Tokens.of({"TRANSREC_TOKEN": "a-ö"}, ServeSettings())
    assert [
        status(tokens, given, writing=True) for given in ("Bearer a-ö", "bearer a-ö", "Basic a-ö", "a-ö", None, "Bearer a")
    ] == [
        200,
        200,
        401,
        401,
        401,
        401,
    ]


def test_a_read_token_guards_reading_and_does_not_write() -> None:
    tokens = Tokens.of({"TRANSREC_TOKEN": "w", "TRANSREC_READ_TOKEN": "r"}, ServeSettings())
    assert [status(tokens, given, writing=False) for given in (None, "Bearer r", "Bearer w")] == [401, 200, 200]
    assert status(tokens, "Bearer r", writing=True) == 401


def test_guarding_without_a_token_is_no_start() -> None:
    with pytest.raises(SettingsError, match="there is no token"):
        Tokens.of({}, ServeSettings(guard_reads=True))


def test_tokens_are_in_no_text() -> None:
    assert "secret" not in repr(Tokens("secret", "secret"))
