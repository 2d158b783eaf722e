"""Draw the picture of the page on reports: python docs/make_report_image.py; needs chromium and the extra report."""

import io
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from transrec.data.worlds import source_and_targets
from transrec.items.scratch import new_image_backbone, new_text_backbone
from transrec.recipes.evaluate import evaluate
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.report import report
from transrec.recipes.reporting.settings import ReportSettings
from transrec.recipes.train import train

WIDTH, HEIGHT = 1100, 5600
PARTS = ((0, 1660), (2800, 4460))
"""From where to where the page is shown, in pixels: the data, and the map with the first user."""


def trained(folder: Path) -> Path:
    """A small run on the built-in world."""
    data = source_and_targets(0).targets["mixed"].save(folder / "mixed")
    texts = [text for text in data.catalog.column("text").to_list() if text]
    new_text_backbone(texts, folder / "text", layers=1, seed=0)
    new_image_backbone(folder / "image", kind="vit", layers=1, seed=0)
    items = {"width": 64, "text": {"backbone": str(folder / "text")}, "image": {"backbone": str(folder / "image")}}
    settings = TrainSettings.from_mapping(
        {
            "model": {"items": items, "users": {"window": 20}},
            "training": {"epochs": 10, "learning_rate": 3e-3, "encoder_learning_rate": 3e-3, "log_every": 5},
            "tune": "full",
        }
    )
    train([data], settings, folder / "garden")
    return folder / "garden"


def made(folder: Path) -> Path:
    """Its report."""
    run = trained(folder)
    evaluate(run)
    return report([run], ReportSettings(colour_by="topic", users=3))


def shot(page: Path, folder: Path) -> Image.Image:
    """What a browser shows of a page."""
    path = folder / "shot.png"
    size = f"--window-size={WIDTH},{HEIGHT}"
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", size]
    subprocess.run([*command, f"--screenshot={path}", page.resolve().as_uri()], check=True, capture_output=True)
    return Image.open(io.BytesIO(path.read_bytes())).convert("RGB")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        whole = shot(made(Path(name)), Path(name))
    parts = [whole.crop((0, top, WIDTH, bottom)) for top, bottom in PARTS]
    height = max(part.height for part in parts)
    both = Image.new("RGB", (2 * WIDTH, height), "white")
    for place, part in enumerate(parts):
        both.paste(part, (place * WIDTH, 0))
    both.thumbnail((1500, 1500), Image.Resampling.LANCZOS)
    few = both.quantize(255, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)  # keeps the rare colours
    few.save(Path(__file__).parent / "images" / "report.png", optimize=True)
