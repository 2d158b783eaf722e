"""The page beside the service: what it adds, and what it must not."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving_ground import PictureRun
from starlette.testclient import TestClient

from transrec.errors import SettingsError
from transrec.serving.http.settings import Tokens
from transrec.serving.playground.mounting import build_playground

# gradio leaves event loops open; they are collected here, so that no other test is blamed for them
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


def test_guarded_reading_and_a_page_do_not_go_together(tmp_path: Path) -> None:
    seen = PictureRun(tmp_path)
    guarded = Tokens("write", "read", guard_reads=True)
    with pytest.raises(SettingsError, match="a browser that opens the playground has none"):
        build_playground(seen.held(), seen.dataset, name="own", tokens=guarded)


def test_visitors_may_not_add_items_unless_everybody_may(tmp_path: Path) -> None:
    seen = PictureRun(tmp_path)
    app = build_playground(seen.held(), seen.dataset, name="own", tokens=Tokens("write"))
    with TestClient(app) as client:
        config = client.get("/config").text
        assert "Look where it belongs" in config
        assert "Add it to what is recommended" not in config
        policy = client.get("/").headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "content-security-policy" not in client.get("/v1/health").headers
        assert client.post("/v1/items", json={}).status_code == 401
