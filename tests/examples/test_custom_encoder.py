import importlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transrec.data.catalog import Catalog, Item
from transrec.errors import ModelError
from transrec.items.settings import ItemSettings
from transrec.items.tower import ItemEncoder, build_items
from transrec.testing import ModalityEncoderContract

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def _examples_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))


def _items():
    items = []
    for place in range(3):
        out = io.BytesIO()
        pixels = np.random.default_rng(place).integers(0, 256, (20 + place, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(out, "PNG")
        items.append(Item(f"p{place}", image=out.getvalue()))
    return items


class TestThumbnailEncoder(ModalityEncoderContract):
    def make(self):
        return importlib.import_module("custom_encoder").ThumbnailEncoder(side=16, width=24)

    def items(self):
        return _items()

    def bad_items(self):
        return [Item("no-picture", text="x"), Item("no-image-file", image=b"GIF89a")]


def test_it_is_built_by_its_import_path_and_comes_back(tmp_path):
    chosen = ItemSettings.from_mapping(
        {"custom": {"image": "custom_encoder:ThumbnailEncoder"}, "custom_options": {"image": {"side": "16"}}}
    )
    tower = build_items(chosen, [Catalog.from_items(_items())])
    assert tower.encoders["image"].side == 16
    tower.save_assets(tmp_path)
    loaded = ItemEncoder.from_assets(tmp_path, tower.settings)
    loaded.load_state_dict(tower.state_dict())
    assert loaded.encoders["image"].side == 16


def test_an_unknown_option_says_which_there_are():
    chosen = ItemSettings(
        custom={"image": "custom_encoder:ThumbnailEncoder"}, custom_options={"image": {"sied": "16"}}, modalities=("image",)
    )
    with pytest.raises(ModelError, match="it has side and width"):
        build_items(chosen, [Catalog.from_items(_items())])
