"""The page in a real browser: what people press, type and drop, by mouse and by keyboard, on a desk and on a phone."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from drawn import drawn
from serving_ground import PictureRun

from transrec.model import TransRec


class Visited:
    """A playground that is served by a process of its own, and a browser that looks at it."""

    def __init__(self, seen: PictureRun, url: str, browser: Any) -> None:
        self.seen = seen
        self.url = url
        self.browser = browser

    def page(self, **more: Any) -> Any:
        page = self.browser.new_page(**{"viewport": {"width": 1200, "height": 900}, **more})
        page.set_default_timeout(20_000)
        page.wrong = []
        page.asked = []
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on("console", lambda told: page.wrong.append(told.text) if told.type == "error" else None)
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(self.url)
        page.wait_for_selector("#tr-found [data-do]")
        return page

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """What the service under the page says."""
        return httpx.request(method, f"{self.url}v1/{path}", timeout=30, **more)

    def history_of(self, user: str) -> list[str]:
        events = self.seen.dataset.interactions
        place = list(events.users).index(user)
        return [f"i{row}" for row in events.rows[events.offsets[place] : events.offsets[place + 1]]]


@pytest.fixture(scope="module")
def visited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visited]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.fail("there is no browser: apt-get install chromium (`make browser` does)")
    folder = tmp_path_factory.mktemp("seen")
    seen = PictureRun(folder)
    TransRec.build(seen.model.settings, [seen.dataset.catalog], seed=5).eval().save(folder / "fresh")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    words = ["play", str(seen.run), str(folder / "fresh"), "--data", str(seen.data), "--port", str(port), "--open-writes"]
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "transrec", *words], stdout=out, stderr=out, env=_environment())
    try:
        end = time.monotonic() + 120
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/v1/ready").status_code == 200:
                    break
            except httpx.TransportError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.2)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            yield Visited(seen, f"http://127.0.0.1:{port}/", browser)
            browser.close()
    finally:
        process.terminate()
        process.wait(60)


def _environment() -> dict[str, str]:
    """This one without tokens: a read token would guard the page."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TRANSREC_")}


def keys(page: Any, place: str) -> list[str]:
    return [str(card.get_attribute("data-item")) for card in page.locator(f"#tr-{place} [data-do]").all()]


def until(page: Any, place: str, count: int) -> list[str]:
    page.wait_for_function(f"document.querySelectorAll('#tr-{place} [data-do]').length === {count}")
    return keys(page, place)


def test_a_history_is_made_and_two_runs_answer_side_by_side(visited: Visited) -> None:
    page = visited.page()
    page.get_by_role("button", name="add to the history: thing 3", exact=True).click()
    until(page, "history", 1)
    page.get_by_role("button", name="add to the history: thing 5", exact=True).first.click()
    until(page, "history", 2)
    answer = visited.ask("POST", "recommendations", json={"history": ["i3", "i5"], "k": 12}).json()
    expected = [item["id"] for item in answer["items"]]
    page.wait_for_function("document.querySelectorAll('#tr-list-0 [data-do]').length === 10")
    assert keys(page, "list-0") == expected
    assert set(keys(page, "list-1")) == set(expected), "all that there are, in another order"
    assert keys(page, "list-1") != expected
    assert "image 100%" in page.locator("#tr-list-0").inner_text()
    page.wait_for_function("[...document.images].every(i => i.loading === 'lazy' || i.naturalWidth > 0)")
    assert page.locator("#tr-list-0 img").first.evaluate("i => i.decode().then(() => i.naturalWidth)") > 0
    page.get_by_role("button", name="take out of the history: thing 3").click()
    until(page, "history", 1)
    page.wait_for_function("document.querySelectorAll('#tr-list-0 [data-do]').length === 11")
    page.get_by_role("button", name="Empty the history").click()
    page.get_by_text("Nothing yet: pick a user").wait_for()
    assert page.locator("#tr-list-0 [data-do]").count() == 0
    assert page.wrong == []
    elsewhere = {address for address in page.asked if not address.startswith((visited.url, "data:", "blob:"))}
    assert elsewhere == set(), "who looks at the page tells nobody"
    page.close()


def test_a_user_is_taken_and_the_last_item_held_back(visited: Visited) -> None:
    page = visited.page()
    page.get_by_label("Hold back the last item").check()
    page.get_by_role("button", name="Somebody").click()
    page.get_by_text("Held back: “thing").first.wait_for()
    user = page.get_by_label("User").input_value()
    events = visited.history_of(user)
    assert len(until(page, "history", len(events) - 1)) == len(events) - 1
    page.get_by_label("Hold back the last item").uncheck()
    until(page, "history", len(events))
    assert "Held back" not in page.locator("#tr-list-0").inner_text()
    page.get_by_label("User").fill("nobody")
    page.get_by_label("User").press("Enter")
    page.get_by_text("There is no user 'nobody'").wait_for()
    assert page.wrong == []
    page.close()


def test_a_filter_holds_and_a_wrong_one_is_told(visited: Visited) -> None:
    page = visited.page()
    page.get_by_role("button", name="add to the history: thing 3", exact=True).click()
    page.wait_for_function("document.querySelectorAll('#tr-list-0 [data-do]').length === 11")
    page.get_by_text("Wishes").click()
    page.get_by_label("Filter").fill("price < 3 and in_stock = true")
    page.get_by_label("Filter").press("Enter")
    assert set(until(page, "list-0", 2)) == {"i0", "i2"}
    page.get_by_label("Filter").fill("prize < 3")
    page.get_by_label("Filter").press("Enter")
    told = page.get_by_role("alert").first
    told.wait_for()
    assert "The catalog has no column 'prize'" in told.inner_text()
    page.get_by_label("Words of the title").fill("thing 11")
    assert until(page, "found", 1) == ["i11"]
    assert page.wrong == []
    page.close()


def test_a_photo_finds_its_like_goes_into_a_history_and_is_added_for_all(visited: Visited, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(drawn(4))
    page = visited.page()
    page.get_by_role("tab", name="A new item").click()
    page.get_by_role("button", name="Look where it belongs").click()
    page.get_by_text("There is nothing to look at").wait_for()
    page.locator("input[type=file]").set_input_files(photo)
    page.get_by_label("photo.png").wait_for()
    page.get_by_role("button", name="Look where it belongs").click()
    page.get_by_text("Who would get it under fresh").wait_for()
    assert keys(page, "near-0")[0] == keys(page, "near-1")[0] == "i4"
    assert "Of 10 users it would be" in page.locator("#tr-who-0").inner_text()
    page.get_by_role("button", name="Put it into the history").click()
    page.get_by_text("It is the newest item of the history now").wait_for()
    page.get_by_label("Its id").fill("dropped")
    page.get_by_role("button", name="Add it to what is recommended").click()
    page.get_by_text("dropped can be recommended from now on").wait_for()
    found = visited.ask("GET", "items/i4/similar", params={"k": 1}).json()
    assert found["items"][0]["id"] == "dropped", "for those who ask by HTTP, too"
    page.get_by_role("button", name="Add it to what is recommended").click()
    page.get_by_text("The item 'dropped' is there already").wait_for()
    page.get_by_role("tab", name="Recommendations").click()
    until(page, "history", 1)
    until(page, "list-0", 12)
    page.get_by_role("tab", name="A new item").click()
    page.get_by_role("button", name="Clear").click()
    page.get_by_label("photo.png").wait_for(state="hidden")  # else the answer would clear the next file
    page.locator("input[type=file]").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": b"no picture"})
    page.get_by_label("a.png").wait_for()
    page.get_by_role("button", name="Look where it belongs").click()
    page.get_by_text("The picture cannot be used").wait_for()
    assert page.wrong == []
    assert visited.ask("DELETE", "items/dropped").status_code == 204
    page.close()


def test_the_keyboard_is_enough_and_stays_where_it_was(visited: Visited) -> None:
    page = visited.page()
    for name in ("thing 3", "thing 5", "thing 7"):
        page.get_by_role("button", name=f"add to the history: {name}", exact=True).first.focus()
        page.keyboard.press("Enter")
        page.get_by_role("button", name=f"take out of the history: {name}", exact=True).wait_for()
    page.get_by_role("button", name="take out of the history: thing 5").focus()
    page.keyboard.press("Enter")
    until(page, "history", 2)
    page.wait_for_function("document.activeElement.getAttribute('aria-label') === 'take out of the history: thing 7'")
    page.keyboard.press("Shift+Tab")
    page.wait_for_function("document.activeElement.getAttribute('aria-label') === 'take out of the history: thing 3'")
    page.close()


def test_a_phone_shows_everything_without_scrolling_sideways(visited: Visited) -> None:
    page = visited.page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, color_scheme="dark")
    page.get_by_role("button", name="add to the history: thing 3", exact=True).tap()
    page.wait_for_function("document.querySelectorAll('#tr-list-1 [data-do]').length === 11")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("#tr-list-0 li").first.bounding_box()["width"] > 100
    page.close()
