"""Requests made up from the OpenAPI: none makes the service fail, none hangs, and every error is a problem."""

from __future__ import annotations

import functools
import time

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from serving_ground import vectors_app

schema = schemathesis.pytest.from_fixture("described")


def app() -> object:
    return vectors_app(max_body_bytes=100_000, max_body_seconds=2)


def test_no_request_makes_it_fail() -> None:
    from starlette.testclient import TestClient

    with TestClient(app()) as client:  # type: ignore[arg-type]
        described = schemathesis.openapi.from_dict(client.get("/v1/openapi.json").json())
        asked = 0

        def tried(case: schemathesis.Case) -> None:
            nonlocal asked
            asked += 1
            began = time.monotonic()
            answer = client.request(**{**case.as_transport_kwargs(base_url="http://testserver")})
            assert time.monotonic() - began < 5, case.as_curl_command()
            assert answer.status_code < 500, case.as_curl_command()
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json", case.as_curl_command()
                assert answer.json()["remedy"]

        for found in described.get_all_operations():
            operation = found.ok()
            run = settings(
                max_examples=12, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            from hypothesis import given

            run(given(case=operation.as_strategy())(functools.partial(lambda case: tried(case))))()
    assert asked > 100
