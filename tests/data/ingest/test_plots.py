"""Plots are drawn without a display and without matplotlib's global state."""

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from transrec.data.catalog import Catalog
from transrec.data.ingest.doctor import Contents, diagnose
from transrec.data.ingest.plots import save_plots
from transrec.data.interactions import Interactions


@pytest.mark.parametrize("times", [1.6e9, 0.0])
@pytest.mark.parametrize("events", [3, 2000])
def test_three_pictures(tmp_path: Path, times: float, events: int) -> None:
    generator = np.random.default_rng(0)
    catalog = Catalog.from_frame(pl.DataFrame({"item_id": ["x", "y"], "title": ["X", "Y"]}), text="title")
    table = pl.DataFrame(
        {
            "user_id": ["a"] * (events // 2) + ["b"] * (events - events // 2),
            "item_id": generator.choice(["x", "y"], events),
            "timestamp": times + np.arange(events) * 60.0,
        }
    )
    found = diagnose(Contents.of(catalog), Interactions.from_frame(table, catalog), [], [], None)
    paths = save_plots(found, tmp_path / "plots")
    assert [path.name for path in paths] == ["lengths.png", "popularity.png", "times.png"]
    for path in paths:
        with Image.open(path) as picture:
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 10
    assert "matplotlib.pyplot" not in sys.modules
