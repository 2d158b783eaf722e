"""Requests made up from the OpenAPI: none makes the service fail, none hangs, and every error is a problem."""

from __future__ import annotations

import time

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from serving_ground import vectors_app
from starlette.testclient import TestClient

SECONDS = 30


def chosen(examples: int, *, derandomize: bool) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=derandomize,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(chosen(6, derandomize=True), id="a few"),
        pytest.param(chosen(400, derandomize=False), id="many", marks=pytest.mark.slow),
    ],
)
def test_no_request_makes_it_fail(how: settings) -> None:
    statuses: list[int] = []
    with TestClient(vectors_app(max_body_bytes=100_000)) as client:  # type: ignore[arg-type]
        described = schemathesis.openapi.from_dict(client.get("/v1/openapi.json").json())

        def tried(case: schemathesis.Case) -> None:
            began = time.monotonic()
            parts = case.as_transport_kwargs(base_url="http://testserver")
            parts.pop("cookies", None)  # no route reads one
            if isinstance(parts.get("data"), bytes):
                parts["content"] = parts.pop("data")
            try:
                request = client.build_request(**parts)
                request.read()
            except (AttributeError, TypeError):
                return  # a part of multipart that no client can write
            answer = client.send(request)
            assert time.monotonic() - began < SECONDS, case.as_curl_command()
            assert answer.status_code < 500, case.as_curl_command()
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json", case.as_curl_command()
                assert answer.json()["remedy"], case.as_curl_command()
            statuses.append(answer.status_code)

        for found in described.get_all_operations():
            how(given(case=found.ok().as_strategy())(tried))()
    assert len(statuses) > 40
    assert {200, 404, 422} <= set(statuses)
