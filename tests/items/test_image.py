import io

import numpy as np
import pytest
import torch
import transformers as hf
from drawn import drawn
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from transrec.data.catalog import Catalog, Item
from transrec.data.store import ContentStore
from transrec.errors import BackboneError, DataError, SettingsError
from transrec.items.image import ImageEncoder, ImageSettings, decode_picture
from transrec.testing import ModalityEncoderContract

FAMILIES = ["resnet", "convnext", "swin", "vit", "dinov2", "clip", "siglip"]
BLOCKS = {"resnet": 2, "convnext": 2, "swin": 2}
CLASS_TOKEN = {"vit", "dinov2", "clip"}
PROCESSORS = [
    ViTImageProcessorPil(size={"height": 16, "width": 16}),
    ConvNextImageProcessorPil(size={"shortest_edge": 14}),
    CLIPImageProcessorPil(size={"shortest_edge": 20}, crop_size={"height": 16, "width": 16}),
    CLIPImageProcessorPil(size={"shortest_edge": 16}, do_center_crop=False),
    ViTImageProcessorPil(size={"height": 16, "width": 16}, do_normalize=False),
    ViTImageProcessorPil(size={"height": 16, "width": 16}, rescale_factor=1 / 127.5),
]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_vector_does_not_depend_on_the_batch(family, image_family, processor, image_items):
    encoder = ImageEncoder(image_family(family), processor, ImageSettings()).double().eval()
    with torch.no_grad():
        together = encoder(encoder.prepare(image_items))
        alone = torch.cat([encoder(encoder.prepare([item])) for item in image_items])
    assert together.shape == (4, 16)
    torch.testing.assert_close(alone, together, atol=1e-10, rtol=0.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_blocks_and_no_idle_parameter(family, image_family, processor, image_items):
    encoder = ImageEncoder(image_family(family), processor, ImageSettings())
    assert len(encoder.blocks()) == BLOCKS.get(family, 3)
    vectors = encoder(encoder.prepare(image_items))
    (vectors * torch.linspace(0.5, 1.5, vectors.numel()).view_as(vectors)).sum().backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_runs_in_two_halves(family, image_family, processor, image_items):
    encoder = ImageEncoder(image_family(family), processor, ImageSettings()).double().eval()
    prepared = encoder.prepare(image_items)
    for below in range(1, len(encoder.blocks()) + 1):
        with torch.no_grad():
            lowered = encoder.lower(prepared, below)
            found, expected = encoder.upper(lowered, below), encoder(prepared)
        assert set(lowered) == {"states"}
        torch.testing.assert_close(found, expected, atol=1e-10, rtol=0.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_comes_back_from_its_assets(family, image_family, processor, image_items, tmp_path):
    encoder = ImageEncoder(image_family(family), processor, ImageSettings()).eval()
    encoder.save_assets(tmp_path)
    loaded = ImageEncoder.from_assets(tmp_path).eval()
    loaded.load_state_dict(encoder.state_dict())
    with torch.no_grad():
        assert torch.equal(loaded(loaded.prepare(image_items)), encoder(encoder.prepare(image_items)))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_first_token_is_for_networks_with_a_class_token(family, image_family, processor, image_items):
    if family not in CLASS_TOKEN:
        with pytest.raises(SettingsError, match="no class token"):
            ImageEncoder(image_family(family), processor, ImageSettings(pooling="first"))
        return
    encoder = ImageEncoder(image_family(family), processor, ImageSettings(pooling="first")).eval()
    network = image_family(family)
    network = getattr(network, "vision_model", network)
    prepared = encoder.prepare(image_items)
    pixels = (prepared["pixels"] - encoder.mean_C11) / encoder.deviation_C11
    with torch.no_grad():
        output = network(pixel_values=pixels)
        expected = output.pooler_output if family == "clip" else output.last_hidden_state[:, 0]
        torch.testing.assert_close(encoder(prepared), expected, atol=1e-6, rtol=0.0)


@pytest.mark.parametrize("processor", PROCESSORS, ids=lambda p: f"{type(p).__name__}-{p.size}")
@pytest.mark.parametrize("size", [(20, 30), (30, 20), (7, 90), (16, 16)])
def test_pixels_are_what_the_processor_itself_would_give(processor, size, image_family, picture):
    encoder = ImageEncoder(image_family("resnet"), processor, ImageSettings()).eval()
    item = Item("a", image=picture(5, size))
    prepared = encoder.prepare([item])["pixels"]
    found = (prepared - encoder.mean_C11) / encoder.deviation_C11
    expected = processor(Image.open(io.BytesIO(item.image)), return_tensors="pt")["pixel_values"].float()
    side = encoder.side
    top, left = ((length - side) // 2 for length in expected.shape[2:])
    assert prepared.dtype == torch.uint8
    assert prepared.shape == (1, 3, side, side)
    torch.testing.assert_close(found, expected[:, :, top : top + side, left : left + side], atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("processor", PROCESSORS, ids=lambda p: f"{type(p).__name__}-{p.size}")
def test_another_side(processor, image_family, picture):
    encoder = ImageEncoder(image_family("convnext"), processor, ImageSettings(side=24))
    pixels = encoder.prepare([Item("a", image=picture(1)), Item("b", image=picture(2, (9, 50)))])["pixels"]
    assert pixels.shape == (2, 3, 24, 24)
    assert pixels.float().std(dim=(1, 2, 3)).min() > 10


@pytest.mark.parametrize("family", FAMILIES)
def test_another_side_works_with_learned_positions_too(family, image_family, processor, image_items):
    encoder = ImageEncoder(image_family(family), processor, ImageSettings(side=32)).eval()
    with torch.no_grad():
        assert encoder(encoder.prepare(image_items)).isfinite().all()


def test_the_key_follows_processor_and_side(image_family, processor):
    def key(of, **settings):
        return ImageEncoder(image_family("resnet"), of, ImageSettings(**settings)).preparation_key()

    assert key(processor) == key(ViTImageProcessorPil(size={"height": 16, "width": 16}))
    assert key(processor) != key(processor, side=24)
    assert key(processor) != key(ViTImageProcessorPil(size={"height": 16, "width": 16}, resample=Image.Resampling.BICUBIC))
    assert key(processor) != key(CLIPImageProcessorPil(size={"shortest_edge": 16}))


def test_a_text_network_is_not_taken_for_pictures(text_family, processor):
    with pytest.raises(BackboneError, match="does not read pictures"):
        ImageEncoder(text_family("bert"), processor, ImageSettings())


# ---- keeping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_hardly_depend_on_how_pictures_are_kept(family, image_family, processor):
    items = [Item(str(seed), image=drawn(seed)) for seed in range(12)]
    found = {}
    for stored in ("pixels", "lossless", "jpeg"):
        encoder = ImageEncoder(image_family(family), processor, ImageSettings(side=48, stored=stored)).eval()
        store = ContentStore.prepare(Catalog.from_items(items), {"image": encoder})
        with torch.no_grad():
            found[stored] = encoder.encode(store.gather(np.arange(12)).parts["image"])
    assert torch.equal(found["lossless"], found["pixels"])
    assert not torch.equal(found["jpeg"], found["pixels"])
    assert torch.cosine_similarity(found["jpeg"], found["pixels"]).min() > 0.99
    # what is left beside the mean of all of them, by which items are told apart, is the same too
    apart = {stored: vectors - vectors.mean(dim=0) for stored, vectors in found.items()}
    assert torch.cosine_similarity(apart["jpeg"], apart["pixels"]).min() > 0.97


def test_how_pictures_are_kept_is_part_of_what_is_saved(image_family, processor, tmp_path):
    ImageEncoder(image_family("vit"), processor, ImageSettings(stored="jpeg")).save_assets(tmp_path)
    assert ImageEncoder.from_assets(tmp_path).packings()["pixels"].kind == "jpeg"
    settings = (tmp_path / "encoder.yaml").read_text()
    (tmp_path / "encoder.yaml").write_text(settings.replace("stored: jpeg\n", ""))
    assert ImageEncoder.from_assets(tmp_path).packings() == {}, "runs from before there was a choice keep pixels"


def test_where_pixels_are_too_large_the_message_names_the_setting(image_family, processor):
    def told(stored):
        return ImageEncoder(image_family("vit"), processor, ImageSettings(stored=stored)).when_too_large()

    assert "model.items.image.stored jpeg" in told("pixels")
    assert "model.items.image.stored jpeg" in told("lossless")
    assert "stored" not in told("jpeg") and "model.items.image.side" in told("jpeg")


# ---- decoding ---------------------------------------------------------------------------------------------------------


def _encoded(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


RED = np.tile(np.array([200, 10, 30], dtype=np.uint8), (8, 12, 1))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("RGB", "PNG"), ("RGBA", "PNG"), ("P", "GIF"), ("P", "PNG"), ("CMYK", "JPEG"), ("RGB", "WEBP"), ("RGB", "BMP")],
)
def test_every_mode_shows_the_same_picture(mode, kind):
    found = decode_picture(_encoded(Image.fromarray(RED).convert(mode), kind), where="item 'a'")
    assert found.shape == (8, 12, 3)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - RED).max() < 50  # a palette of fixed colours comes no closer


@pytest.mark.parametrize("mode", ["L", "1", "I;16", "LA"])
def test_gray_pictures_become_rgb(mode):
    gray = Image.new("L", (6, 5), 255)
    image = Image.fromarray(np.full((5, 6), 65535, dtype=np.uint16)) if mode == "I;16" else gray.convert(mode)
    assert (decode_picture(_encoded(image), where="a") == 255).all()


def test_transparency_shows_white():
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert (decode_picture(_encoded(clear), where="a") == 255).all()
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([10, 20, 30] * 256)
    assert (decode_picture(_encoded(palette, transparency=0), where="a") == 255).all()


def test_a_picture_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = Image.fromarray(RED)
    assert decode_picture(_encoded(lying, "JPEG", exif=exif), where="a").shape == (12, 8, 3)


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "bomb", "postscript"])
def test_what_cannot_be_decoded_names_the_item(damage, image_family, processor, picture, monkeypatch):
    encoded = {
        "empty": b"",
        "text": b"<html>not found</html>",
        "cut": picture(1)[:200],
        "bomb": picture(1),
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    }[damage]
    if damage == "bomb":
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    encoder = ImageEncoder(image_family("resnet"), processor, ImageSettings())
    with pytest.raises(DataError, match="item 'broken'"):
        encoder.prepare([Item("broken", image=encoded)])


def test_an_item_without_picture_is_named(image_family, processor):
    with pytest.raises(DataError, match="'blind' has no picture"):
        ImageEncoder(image_family("resnet"), processor, ImageSettings()).prepare([Item("blind", text="x")])


class TestImageEncoder(ModalityEncoderContract):
    @pytest.fixture(autouse=True)
    def _parts(self, image_folder, image_items):
        self.folder, self.pictures = image_folder, image_items

    def make(self):
        return ImageEncoder.from_settings(ImageSettings(backbone=str(self.folder)))

    def items(self):
        return self.pictures

    def bad_items(self):
        return [Item("no-picture", text="x"), Item("no-image-file", image=b"GIF89a")]


class TestImageEncoderWithBatchNorm(ModalityEncoderContract):
    @pytest.fixture(autouse=True)
    def _parts(self, image_family, image_items, processor):
        self.network, self.pictures, self.own = image_family, image_items, processor

    def make(self):
        return ImageEncoder(self.network("resnet"), self.own, ImageSettings())

    def items(self):
        return self.pictures


def test_the_parts_load_by_folder(image_folder):
    encoder = ImageEncoder.from_settings(ImageSettings(backbone=str(image_folder)))
    assert isinstance(encoder.backbone, hf.ConvNextModel)
    assert encoder.side == 16
