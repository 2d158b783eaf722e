"""Draw the picture of the page on the playground: python docs/make_playground_image.py; needs chromium and the extra ui."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from make_report_image import trained
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from transrec.data.dataset import Dataset

PORT = 8137
WIDTH, HEIGHT = 1000, 1150


def lists(page: Page, user: str) -> None:
    """What is recommended to a user, whose last item is held back."""
    page.get_by_label("Hold back the last item").check()
    page.get_by_label("User").fill(user)
    page.get_by_label("User").press("Enter")
    page.locator("#tr-list-0 .tr-list").wait_for()


def new_item(page: Page, photo: Path, text: str) -> None:
    """Where a new item belongs."""
    page.get_by_role("tab", name="A new item").click()
    page.locator("input[type=file]").set_input_files(photo)
    page.get_by_text(photo.name).wait_for()
    page.get_by_label("What it is").fill(text)
    page.get_by_role("button", name="Look where it belongs").click()
    page.get_by_text("Who would get it").wait_for()


def main() -> None:
    """Train, play, and take two pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = trained(folder)
        data = Dataset.open(folder / "mixed")
        item = next(item for item in data.catalog.items(range(len(data.catalog))) if item.image)
        photo = folder / "photo.jpg"
        photo.write_bytes(item.image or b"")
        served = subprocess.Popen([sys.executable, "-m", "transrec", "play", str(run), "--port", str(PORT)])
        try:
            for _ in range(600):
                try:
                    httpx.get(f"http://127.0.0.1:{PORT}/v1/ready").raise_for_status()
                    break
                except httpx.HTTPError:
                    time.sleep(0.2)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
                page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
                page.goto(f"http://127.0.0.1:{PORT}/")
                page.wait_for_selector("#tr-found [data-do]")
                lists(page, str(data.interactions.users[4]))
                page.wait_for_timeout(1_000)
                page.screenshot(path=folder / "lists.png")
                new_item(page, photo, "")
                page.wait_for_timeout(1_000)
                page.screenshot(path=folder / "new.png")
                browser.close()
        finally:
            served.terminate()
            served.wait()
        both = Image.new("RGB", (2 * WIDTH, HEIGHT), "white")
        for place, shot in enumerate(("lists", "new")):
            both.paste(Image.open(folder / f"{shot}.png").convert("RGB"), (place * WIDTH, 0))
    both.thumbnail((1600, 1600), Image.Resampling.LANCZOS)
    few = both.quantize(255, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(Path(__file__).parent / "images" / "playground.png", optimize=True)


if __name__ == "__main__":
    main()
