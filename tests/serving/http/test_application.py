"""The routes, as a client sees them: answers, and errors that say what to do."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from drawn import drawn
from PIL import Image
from serving_ground import PictureRun, vector, vectors_app
from starlette.testclient import TestClient

from transrec.model import TransRec
from transrec.serving.http.application import build_app
from transrec.serving.http.settings import ServeSettings, Tokens

WRITER = {"Authorization": "Bearer write-secret"}
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> PictureRun:
    return PictureRun(tmp_path_factory.mktemp("seen"))


@pytest.fixture
def client(seen: PictureRun) -> Iterator[TestClient]:
    settings = ServeSettings(max_body_bytes=200_000, max_picture_pixels=500_000, max_history=5, max_inline=1, max_k=20)
    with TestClient(build_app(seen.held(), settings, Tokens("write-secret"))) as found:
        yield found


@pytest.fixture
def plain() -> Iterator[TestClient]:
    with TestClient(vectors_app()) as found:  # type: ignore[arg-type]
        yield found


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


def encoded(seed: int) -> str:
    return base64.b64encode(drawn(seed)).decode()


def test_recommendations_filter_exclude_and_explain(client: TestClient) -> None:
    asked = {"history": ["i0", "i2", "gone"], "k": 3, "where": "in_stock = true", "exclude": ["i4"], "explain": True}
    answer = client.post("/v1/recommendations", json=asked)
    assert set(ids(answer)) == {"i6", "i8", "i10"}
    told = answer.json()
    assert (told["used"], told["unknown"]) == (["i0", "i2"], ["gone"])
    reason = told["items"][0]["reason"]
    assert reason["content"] + reason["counts"] == pytest.approx(told["items"][0]["score"], abs=1e-4)
    assert reason["views"] == {"image": 1.0}
    assert {near["id"] for near in reason["nearest"]} == {"i0", "i2"}


def test_a_history_can_hold_a_photo(client: TestClient) -> None:
    inline = {"history": [{"id": "mine", "content": {"image": encoded(3)}}], "k": 20}
    answer = client.post("/v1/recommendations", json=inline)
    assert answer.json()["used"] == ["mine"]
    assert len(ids(answer)) == 12


def test_an_item_comes_is_found_changes_and_goes(client: TestClient) -> None:
    photo = {"image": ("photo.png", drawn(77), "image/png")}
    new = client.post(
        "/v1/items", headers=WRITER, data={"id": "a/new", "columns": '{"title": "mine", "price": 1}'}, files=photo
    )
    assert (new.status_code, new.json()) == (201, {"id": "a/new", "new": True}), new.text
    assert ids(client.post("/v1/search", files=photo, data={"k": "1"})) == ["a/new"]
    assert ids(client.post("/v1/search", json={"image": encoded(77), "k": 1})) == ["a/new"]
    assert "a/new" in ids(client.get("/v1/items/i1/similar", params={"k": 20}))
    assert len(ids(client.get("/v1/items/a%2Fnew/similar", params={"k": 2}))) == 2
    told = client.get("/v1/items/a%2Fnew").json()
    assert told["has"] == {"text": False, "image": True}
    assert told["columns"] == {"title": "mine", "price": 1.0, "in_stock": None}
    again = client.post("/v1/items", headers=WRITER, data={"id": "a/new"}, files=photo)
    assert again.status_code == 409
    assert client.put("/v1/items/a%2Fnew", headers=WRITER, json={"columns": {"price": 9}}).json() == {
        "id": "a/new",
        "new": False,
    }
    assert ids(client.get("/v1/items", params={"where": "price = 9"})) == ["i9", "a/new"]
    assert client.delete("/v1/items/a%2Fnew", headers=WRITER).status_code == 204
    assert client.get("/v1/items/a%2Fnew").status_code == 404
    assert "a/new" not in ids(client.get("/v1/items", params={"limit": 200}))


def test_pages_of_items(client: TestClient) -> None:
    page = client.get("/v1/items", params={"offset": 2, "limit": 3, "where": "price < 5"})
    assert ids(page) == ["i2", "i3", "i4"]
    assert page.json()["total"] == 5


def test_thumbnails_are_small_and_kept(client: TestClient) -> None:
    first = client.get("/v1/items/i3/thumbnail", params={"side": 16, "form": "webp"})
    with Image.open(io.BytesIO(first.content)) as picture:
        assert (picture.format, max(picture.size)) == ("WEBP", 16)
    again = client.get("/v1/items/i3/thumbnail?side=16&form=webp", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get("/v1/items/i4/thumbnail?side=16&form=webp", headers={"If-None-Match": first.headers["etag"]})
    assert other.status_code == 200


def bomb() -> bytes:
    out = io.BytesIO()
    Image.new("1", (5_000, 5_000)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("status", "says", "method", "path", "how"),
    [
        (404, "'nope'", "POST", "recommendations", {"json": {"history": ["nope"]}}),
        (422, "history", "POST", "recommendations", {"json": {"history": []}}),
        (422, "6 items", "POST", "recommendations", {"json": {"history": ["i0"] * 6}}),
        (422, "1 are the most", "POST", "recommendations", {"json": {"history": [{"content": {"text": "a"}}] * 2}}),
        (422, "k is 21", "POST", "recommendations", {"json": {"history": ["i0"], "k": 21}}),
        (422, "times", "POST", "recommendations", {"json": {"history": ["i0"], "times": [1, 2]}}),
        (422, "no column 'pric'", "POST", "recommendations", {"json": {"history": ["i0"], "where": "pric < 2"}}),
        (422, "JSON", "POST", "recommendations", {"content": b"{", "headers": JSON}),
        (422, "Extra inputs", "POST", "recommendations", {"json": {"history": ["i0"], "kk": 2}}),
        (
            422,
            "unicode",
            "POST",
            "recommendations",
            {"content": b'{"history": ["\\ud800"]}', "headers": JSON},
        ),
        (422, "nothing that this model reads", "POST", "search", {"json": {"text": "a scarf"}}),
        (422, "nothing to search for", "POST", "search", {"json": {}}),
        (422, "not base64", "POST", "search", {"json": {"image": "!"}}),
        (422, "known format", "POST", "search", {"files": {"image": b"no picture"}}),
        (413, "5,000 x 5,000 pixels", "POST", "search", {"files": {"image": bomb()}}),
        (400, "nested", "POST", "search", {"content": b"[" * 100_000, "headers": JSON}),
        (400, "boundary", "POST", "search", {"content": b"x", "headers": {"content-type": "multipart/form-data"}}),
        (415, "text/plain", "POST", "search", {"content": b"x", "headers": {"content-type": "text/plain"}}),
        (413, "200,000 bytes", "POST", "search", {"json": {"text": "x" * 200_001}}),
        (404, "'no'", "GET", "items/no", {}),
        (404, "'no'", "GET", "items/no/similar", {}),
        (404, "no such path", "GET", "nothing", {}),
        (405, "method", "GET", "recommendations", {}),
        (422, "side", "GET", "items/i0/thumbnail?side=100000", {}),
        (401, "missing", "DELETE", "items/i0", {}),
        (401, "not the right one", "DELETE", "items/i0", {"headers": {"Authorization": "Bearer no"}}),
        (401, "missing", "POST", "admin/reload", {}),
        (422, "no column 'x'", "PUT", "items/i0", {"headers": WRITER, "json": {"columns": {"x": 1}}}),
        (422, "price", "PUT", "items/i0", {"headers": WRITER, "json": {"columns": {"price": "dear"}}}),
        (422, "no content", "PUT", "items/n", {"headers": WRITER, "json": {}}),
        (422, "fetches no pictures", "PUT", "items/n", {"headers": WRITER, "json": {"image_url": "http://127.0.0.1/"}}),
    ],
)
def test_errors_say_what_where_and_how_to_mend_it(
    client: TestClient, status: int, says: str, method: str, path: str, how: dict[str, Any]
) -> None:
    answer = client.request(method, f"/v1/{path}", **how)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert says in problem["what"]
    assert problem["status"] == status
    assert problem["remedy"]
    assert "where" in problem


def test_the_stream_is_measured_not_its_header(client: TestClient) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 10_000_000:
            sent += 50_000
            yield b"x" * 50_000

    answer = client.post("/v1/search", content=endless(), headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_readers_are_asked_where_that_is_wanted(seen: PictureRun) -> None:
    app = build_app(seen.held(), ServeSettings(), Tokens("w", "r", guard_reads=True))
    with TestClient(app) as client:
        assert client.get("/v1/health").status_code == client.get("/v1/ready").status_code == 200
        for path in ("items", "metrics", "items/i0/thumbnail"):
            assert client.get(f"/v1/{path}").status_code == 401
            for token in "wr":
                assert client.get(f"/v1/{path}", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        assert client.delete("/v1/items/i0", headers={"Authorization": "Bearer r"}).status_code == 401


def test_what_nobody_expected_is_a_problem_too(plain: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    service = plain.app.state.service  # type: ignore[attr-defined]
    monkeypatch.setattr(service, "count", lambda: 1 / 0)
    answer = plain.get("/v1/ready")
    assert (answer.status_code, answer.json()["what"]) == (500, "the service failed at this request")
    assert "ZeroDivision" not in answer.text


def test_metrics_count_routes_not_ids(plain: TestClient) -> None:
    plain.get("/v1/items/i0/similar")
    plain.get("/v1/items/i1/similar")
    plain.get("/v1/made-up")
    text = plain.get("/v1/metrics").text
    assert 'transrec_requests_total{method="GET",route="/v1/items/{item_id:path}/similar",status="200"} 2.0' in text
    assert 'route="other",status="404"} 1.0' in text
    assert "transrec_items 50.0" in text
    assert "transrec_index_generation 1.0" in text


def test_a_reload_takes_the_new_run_and_drops_nothing(tmp_path: Path) -> None:
    seen = PictureRun(tmp_path)
    with TestClient(build_app(seen.held(), ServeSettings(), Tokens("write-secret"))) as client:
        assert client.put("/v1/items/kept", headers=WRITER, json={"image": encoded(50)}).status_code == 201
        before = client.get("/v1/items/i0/similar").json()
        TransRec.build(seen.model.settings, [seen.dataset.catalog], seed=5).save(seen.run)
        stop, statuses = threading.Event(), []

        def ask() -> None:
            while not stop.is_set():
                statuses.append(client.post("/v1/recommendations", json={"history": ["i0"], "k": 3}).status_code)

        asking = threading.Thread(target=ask)
        asking.start()
        reloaded = client.post("/v1/admin/reload", headers=WRITER)
        stop.set()
        asking.join()
        assert reloaded.json() == {"generation": 2, "items": 13}, reloaded.text
        assert set(statuses) == {200}
        assert client.get("/v1/items/i0/similar").json() != before
        assert client.put("/v1/items/after", headers=WRITER, json={"image": encoded(51)}).status_code == 201


def test_a_watched_run_is_reloaded_when_it_changes(tmp_path: Path) -> None:
    seen = PictureRun(tmp_path)
    settings = ServeSettings(reload_run=True, reload_seconds=0.05)
    with TestClient(build_app(seen.held(), settings, Tokens("write-secret"))) as client:
        time.sleep(0.3)
        assert client.get("/v1/ready").json()["generation"] == 1
        TransRec.build(seen.model.settings, [seen.dataset.catalog], seed=5).save(seen.run)
        end = time.monotonic() + 20
        while client.get("/v1/ready").json()["generation"] == 1 and time.monotonic() < end:
            time.sleep(0.05)
        assert client.get("/v1/ready").json()["generation"] == 2


def test_64_readers_go_on_while_items_come_and_the_next_question_sees_them(plain: TestClient) -> None:
    stop, statuses = threading.Event(), []

    def read(number: int) -> None:
        while not stop.is_set():
            asked = {"history": [f"i{number % 50}"], "k": 3, "popularity": 1 + number % 2}
            statuses.append(plain.post("/v1/recommendations", json=asked).status_code)

    with ThreadPoolExecutor(64) as readers:
        for number in range(64):
            readers.submit(read, number)
        try:
            for number in range(5):
                body = {"id": f"n{number}", "content": {"vectors": {"given": vector(number)}}}
                assert plain.post("/v1/items", json=body).status_code == 201
                found = plain.post("/v1/recommendations", json={"history": ["i0"], "k": 100})
                assert f"n{number}" in ids(found)
        finally:
            stop.set()
    assert len(statuses) >= 64
    assert set(statuses) == {200}
    metrics = plain.get("/v1/metrics").text
    batches = float(metrics.partition("transrec_batch_size_count ")[2].splitlines()[0])
    assert batches < len(statuses) / 4  # most were answered together


def test_openapi_has_examples_and_says_what_guards(plain: TestClient) -> None:
    schema = plain.get("/v1/openapi.json").json()
    assert all(path.startswith("/v1/") for path in schema["paths"])
    assert schema["components"]["schemas"]["Asked"]["examples"]
    assert schema["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    answer = plain.post("/v1/recommendations", json=schema["components"]["schemas"]["Asked"]["examples"][0])
    assert len(ids(answer)) == 5
    assert "$ref" not in json.dumps(schema["paths"]["/v1/items"]["post"]["requestBody"])
