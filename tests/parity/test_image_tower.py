"""The image tower against a re-implementation from the description of the published code: ResNet, mean, linear map.

Pictures: the shorter side to 256 pixels, the middle 224 x 224, to [0, 1], ImageNet's mean off and divided by its deviation.
The network is torchvision's: a 7x7 convolution of stride 2, max pooling, stages of blocks of two 3x3 convolutions, each with
BatchNorm. Axes: N pictures, C channels, H and W pixels.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil

from transrec.data.catalog import Item
from transrec.data.dataset import Dataset
from transrec.items.image import ImageEncoder
from transrec.model import TransRec
from transrec.recipes.fitting import TrainSettings

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PUBLISHED = (280, 496)
"""Height and width of the pictures that the published code has."""
BILINEAR, BICUBIC = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC


def picture(seed: int, height: int, width: int) -> Item:
    """A noisy picture with large shapes in it, as PNG."""
    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.integers(0, 256, (5, 7, 3), dtype=np.uint8)).resize((width, height), BICUBIC)
    noise = generator.integers(-20, 21, (height, width, 3))
    pixels = np.clip(np.asarray(coarse) + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return Item(str(seed), image=file.getvalue())


def described_pixels(item: Item, *, shorter: int, side: int, resample: Image.Resampling, shift: int = 0) -> Tensor:
    """Resize and CenterCrop of torchvision, on Pillow's pictures: (3, side, side), bytes; perhaps so far to the right."""
    image = Image.open(io.BytesIO(item.image or b"")).convert("RGB")
    width, height = image.size
    least = min(width, height)
    image = image.resize((int(shorter * width / least), int(shorter * height / least)), resample)
    left, top = round((image.width - side) / 2) + shift, round((image.height - side) / 2)
    return torch.from_numpy(np.asarray(image.crop((left, top, left + side, top + side))).copy()).permute(2, 0, 1)


class DescribedResNet:
    """A ResNet of basic blocks over weights by name; BatchNorm by its running statistics or those of the batch."""

    def __init__(self, weights: Mapping[str, Tensor], *, of_batch: bool) -> None:
        self.weights, self.of_batch = weights, of_batch

    def __call__(self, pixels_NCHW: Tensor) -> Tensor:
        maps = self._convolved(pixels_NCHW, "embedder.embedder", stride=2).relu()
        maps = F.max_pool2d(maps, 3, stride=2, padding=1)
        for stage in range(3):
            layer = 0
            while f"encoder.stages.{stage}.layers.{layer}.layer.0.convolution.weight" in self.weights:
                maps = self._block(maps, f"encoder.stages.{stage}.layers.{layer}", 2 if stage and not layer else 1)
                layer += 1
        return maps.flatten(2).sum(dim=2) / (maps.shape[2] * maps.shape[3])

    def _block(self, maps: Tensor, name: str, stride: int) -> Tensor:
        first = self._convolved(maps, f"{name}.layer.0", stride).relu()
        second = self._convolved(first, f"{name}.layer.1", 1)
        short = f"{name}.shortcut"
        beside = self._convolved(maps, short, stride) if f"{short}.convolution.weight" in self.weights else maps
        return (second + beside).relu()

    def _convolved(self, maps: Tensor, name: str, stride: int) -> Tensor:
        kernel = self.weights[f"{name}.convolution.weight"]
        found = F.conv2d(maps, kernel, stride=stride, padding=kernel.shape[-1] // 2)
        own = {key: self.weights[f"{name}.normalization.{key}"] for key in ("running_mean", "running_var", "weight", "bias")}
        if self.of_batch:
            own["running_mean"] = found.mean(dim=(0, 2, 3))
            own["running_var"] = found.var(dim=(0, 2, 3), unbiased=False)
        mean, variance, weight, bias = (values[:, None, None] for values in own.values())
        return (found - mean) / (variance + 1e-5).sqrt() * weight + bias


def tower(settings: TrainSettings, source: Dataset) -> TransRec:
    """A model whose BatchNorms are none of them as at the start."""
    model = TransRec.build(settings.model, [source.catalog]).double().eval()
    generator = torch.Generator().manual_seed(0)
    for name, values in model.items.encoders["image"].state_dict().items():
        if ".normalization." in name and values.is_floating_point():
            values.copy_(torch.rand(values.shape, generator=generator, dtype=values.dtype) + 0.5)
    return model


@pytest.mark.parametrize("of_batch", [False, True], ids=["in use", "in training"])
def test_the_image_tower_is_the_described_one(tiny: TrainSettings, source: Dataset, of_batch: bool) -> None:
    model = tower(tiny, source)
    encoder, projection = model.items.encoders["image"], model.items.projections["image"]
    items = [picture(seed, 40, 60) for seed in range(4)]
    pixels = torch.stack([described_pixels(item, shorter=36, side=32, resample=BILINEAR) for item in items]).double()
    weights = {name.removeprefix("backbone."): values.clone() for name, values in encoder.state_dict().items()}
    described = DescribedResNet(weights, of_batch=of_batch)
    with torch.no_grad():
        found = projection(encoder.train(of_batch)(encoder.prepare(items)))
        expected = described((pixels / 255 - 0.5) / 0.5) @ projection.linear.weight.T + projection.linear.bias
    assert isinstance(encoder, ImageEncoder) and found.std() > 1e-3
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0.0)


def of_processor(tiny: TrainSettings, source: Dataset, resample: Image.Resampling) -> ImageEncoder:
    """An encoder with the processor of microsoft/resnet-18, but perhaps for how it resizes."""
    processor = ConvNextImageProcessorPil(
        size={"shortest_edge": 224}, crop_pct=0.875, resample=resample, image_mean=MEAN, image_std=DEVIATION
    )
    other = TransRec.build(tiny.model, [source.catalog]).items.encoders["image"]
    assert isinstance(other, ImageEncoder)
    return ImageEncoder(other.backbone, processor, tiny.model.items.image)


@pytest.mark.parametrize("resample", [BILINEAR, BICUBIC], ids=["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [PUBLISHED, (300, 256), (256, 256), (640, 481)], ids=str)
def test_pictures_are_prepared_as_described(
    tiny: TrainSettings, source: Dataset, size: tuple[int, int], resample: Image.Resampling
) -> None:
    """In the published code by torchvision's Resize, which is bilinear; ``model.items.image.resample`` says how."""
    encoder, item = of_processor(tiny, source, resample), picture(0, *size)
    [found] = encoder.prepare([item])["pixels"]
    expected = described_pixels(item, shorter=256, side=224, resample=resample)
    torch.testing.assert_close(found, expected, atol=0, rtol=0)
    normalised = (found.float() - encoder.mean_C11) / encoder.deviation_C11
    own = (expected / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]
    torch.testing.assert_close(normalised, own, atol=1e-5, rtol=0.0)


def test_the_way_of_resizing_is_kept_with_the_run(tiny: TrainSettings, tmp_path: Path) -> None:
    """Without the setting it is the processor's own; with it, an encoder that is read again resizes alike."""
    item = picture(0, 40, 60)
    own, chosen = (
        ImageEncoder.from_settings(tiny.model.items.image.updated({"resample": way})) for way in (None, "bilinear")
    )
    for encoder, resample in ((own, BICUBIC), (chosen, BILINEAR)):
        expected = described_pixels(item, shorter=36, side=32, resample=resample)
        torch.testing.assert_close(encoder.prepare([item])["pixels"][0], expected, atol=0, rtol=0)
    chosen.save_assets(tmp_path)
    again = ImageEncoder.from_assets(tmp_path)
    assert torch.equal(again.prepare([item])["pixels"], chosen.prepare([item])["pixels"])
    assert own.preparation_key() != chosen.preparation_key() == again.preparation_key()


def test_a_middle_between_two_pixels_may_be_one_further_left_than_published(tiny: TrainSettings, source: Dataset) -> None:
    """torchvision rounds the half to an even number, 85.5 to 86; the processor cuts it off."""
    item = picture(0, 97, 150)
    [found] = of_processor(tiny, source, BILINEAR).prepare([item])["pixels"]
    expected = described_pixels(item, shorter=256, side=224, resample=BILINEAR, shift=-1)
    torch.testing.assert_close(found, expected, atol=0, rtol=0)


def test_the_preset_has_the_published_image_tower(paper: TrainSettings) -> None:
    items = paper.model.items
    image = items.image
    assert (image.backbone, image.pooling, image.side) == ("microsoft/resnet-18", "mean", None)
    assert (image.batchnorm, image.resample) == ("training", "bilinear")
    assert (items.width, items.standardise, items.start, items.projection) == (256, False, "random", "linear")
