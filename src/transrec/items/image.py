"""ImageEncoder: an item's picture through any vision backbone of ``transformers``.

Axes: N items, T tokens (class token and patches), C channels of the network, H and W pixels.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from PIL import Image, ImageOps
from pydantic import Field
from torch import Tensor, nn
from transformers import BaseImageProcessor, PreTrainedModel

from transrec.data.catalog import Item
from transrec.data.packing import Packing, PicturePacking
from transrec.data.pictures import FORMATS
from transrec.errors import BackboneError, DataError, SettingsError
from transrec.items.backbones import (
    empty_backbone,
    load_backbone,
    load_image_processor,
    save_backbone_config,
    tower_of,
    transformer_blocks,
)
from transrec.items.encoder import STATES, ModalityEncoder, Prepared
from transrec.settings import Settings

VERSION = 1
PROBE = (48, 64)
"""Height and width of a made-up picture that shows which size the processor gives."""


class ImageSettings(Settings):
    """The image encoder."""

    backbone: str = "microsoft/resnet-18"
    """A vision network of transformers, by hub name or folder: ResNet, ConvNeXt, ViT, DINOv2, Swin; CLIP, SigLIP towers."""
    pooling: Literal["mean", "first"] = "mean"
    """From patches to one vector: their mean (for ResNet as published), or the class token of networks that have one."""
    side: int | None = Field(default=None, ge=8)
    """Side of the square that the network sees, in pixels; null takes the size that the backbone's own processor gives."""
    resample: Literal["bilinear", "bicubic"] | None = None
    """How pictures are resized: bilinear (as published) or bicubic; null does as the backbone's own processor."""
    batchnorm: Literal["frozen", "training"] = "frozen"
    """Whether BatchNorm keeps the statistics that the backbone came with, so that a vector depends on the picture alone and
    frozen blocks stay as they are; or (as published) takes those of the batch while any block learns, and moves them in
    frozen blocks too."""
    stored: Literal["pixels", "lossless", "jpeg"] = "pixels"
    """How the dataset's store keeps pictures that are cut to size: as pixels, 3 bytes each; lossless, as WebP, in about a
    third of that; or as jpeg of quality 95, in about a tenth, which changes the pixels a little. Whatever is compressed is
    decoded again for every batch."""


class ImageEncoder(ModalityEncoder):
    """Pixels through a backbone, pooled to one vector.

    Pictures are cut to size once, by the backbone's own processor, and kept as bytes; scaling and normalising with the
    processor's mean and deviation happens on the device. :meth:`from_settings` loads the parts by name.

    Args:
        backbone: a vision network, or one with a vision tower; heads that are not used are taken off it.
        processor: the one that belongs to it.
        settings: pooling and side; ``settings.backbone`` and ``settings.resample`` are not looked at.

    Raises:
        SettingsError: the class token is asked of a network that has none.
        BackboneError: the network does not read pictures.
    """

    modality = "image"

    def __init__(self, backbone: PreTrainedModel, processor: BaseImageProcessor, settings: ImageSettings) -> None:
        super().__init__()
        self.backbone = tower_of(backbone, "image")
        self.processor = processor
        self.settings = settings
        self.steady = settings.batchnorm == "frozen"
        if settings.pooling == "first" and not _has_class_token(self.backbone):
            raise SettingsError(
                f"{type(self.backbone).__name__} has no class token", where="model.items.image.pooling", remedy="choose mean"
            )
        self.width = _width(self.backbone)
        self._resizing = _resizing(processor, settings.side)
        self.side = min(self._resized(np.zeros((*PROBE, 3), dtype=np.uint8)).shape[1:])
        self._extra = _extra_arguments(self.backbone, self.side)
        mean, deviation = _normalisation(processor)
        self.mean_C11: Tensor
        self.deviation_C11: Tensor
        self.register_buffer("mean_C11", mean, persistent=False)
        self.register_buffer("deviation_C11", deviation, persistent=False)

    @classmethod
    def from_settings(cls, settings: ImageSettings) -> Self:
        """The encoder with a backbone and processor loaded by hub name or folder.

        Raises:
            BackboneError: they cannot be found or read.
        """
        processor: Any = load_image_processor(settings.backbone)
        if settings.resample is not None:  # it is saved with the processor, and read from there ever after
            processor.resample = Image.Resampling[settings.resample.upper()]
        return cls(load_backbone(settings.backbone, "image"), processor, settings)

    def prepare(self, items: Sequence[Item]) -> Prepared:
        pixels_N3HW = np.empty((len(items), 3, self.side, self.side), dtype=np.uint8)
        for place, item in enumerate(items):
            if item.image is None:
                raise DataError(f"item {item.id!r} has no picture")
            pixels_N3HW[place] = self._square(decode_picture(item.image, where=f"item {item.id!r}"))
        return {"pixels": torch.from_numpy(pixels_N3HW)}

    def forward(self, prepared: Prepared) -> Tensor:
        pixels_N3HW = prepared["pixels"].to(self.mean_C11.dtype)
        output = self.backbone(pixel_values=(pixels_N3HW - self.mean_C11) / self.deviation_C11, **self._extra)
        features: Tensor = output.last_hidden_state
        if features.ndim == 4:
            # a feature map: the network's own pooling is the mean over space, which ConvNeXt then normalises
            pooled: Tensor | None = output.pooler_output
            return features.mean(dim=(2, 3)) if pooled is None else pooled.flatten(1)
        if self.settings.pooling == "mean":
            features = features.mean(dim=1, keepdim=True)
        vectors_NC = features[:, 0]
        # CLIP's own last normalisation is applied after pooling, outside of its last hidden state
        last_norm = getattr(self.backbone, "post_layernorm", None) if _is_clip(self.backbone) else None
        return vectors_NC if last_norm is None else last_norm(vectors_NC)

    def lower(self, prepared: Prepared, below: int) -> Prepared:
        return {STATES: super().lower(prepared, below)[STATES]}

    def upper(self, lowered: Prepared, below: int) -> Tensor:
        # one picture is enough: what becomes of it below the cut is thrown away
        black = torch.zeros(1, 3, self.side, self.side, dtype=torch.uint8, device=self.mean_C11.device)
        return super().upper({"pixels": black, **lowered}, below)

    def preparation_key(self) -> str:
        described = json.dumps([self.processor.to_dict(), self._resizing], sort_keys=True, default=str)
        return f"image:{VERSION}:{self.side}:{hashlib.blake2b(described.encode(), digest_size=12).hexdigest()}"

    def packings(self) -> Mapping[str, Packing]:
        return {} if self.settings.stored == "pixels" else {"pixels": PicturePacking(self.settings.stored, self.side)}

    def when_too_large(self) -> str:
        if self.settings.stored == "jpeg":
            return "make room, or choose a smaller model.items.image.side"
        return (
            "make room, or keep less of each picture: model.items.image.stored jpeg takes about a tenth of what pixels take "
            "(for a run that is there already, set stored in its encoders/image/encoder.yaml)"
        )

    def blocks(self) -> Sequence[nn.Module]:
        return transformer_blocks(self.backbone)

    def save_assets(self, folder: Path) -> None:
        save_backbone_config(self.backbone, folder)
        self.processor.save_pretrained(folder)
        self.settings.to_yaml(folder / "encoder.yaml", without=("resample",))  # the processor has it

    @classmethod
    def from_assets(cls, folder: Path) -> Self:
        processor = load_image_processor(str(folder))
        return cls(empty_backbone(folder), processor, ImageSettings.from_yaml(folder / "encoder.yaml"))

    def _resized(self, picture_HW3: np.ndarray) -> np.ndarray:
        """The processor's own resizing and cropping, uint8 of shape (3, H, W)."""
        options: dict[str, Any] = {
            "do_rescale": False,
            "do_normalize": False,
            "do_convert_rgb": False,
            "input_data_format": "channels_last",
        }
        found = self.processor(picture_HW3, **options, **self._resizing)["pixel_values"][0]
        found_3HW = np.asarray(found)
        if found_3HW.dtype != np.uint8:  # a few processors resize in floats
            found_3HW = np.clip(np.rint(found_3HW), 0, 255).astype(np.uint8)
        return found_3HW

    def _square(self, picture_HW3: np.ndarray) -> np.ndarray:
        """The same, and what a processor that keeps proportions leaves over is cut off at both ends."""
        found = self._resized(picture_HW3)
        top, left = (found.shape[1] - self.side) // 2, (found.shape[2] - self.side) // 2
        return found[:, top : top + self.side, left : left + self.side]


def decode_picture(encoded: bytes, *, where: str) -> np.ndarray:
    """The pixels of a picture file as a person would see it: turned upright, on white where it is transparent.

    Args:
        encoded: the file: JPEG, PNG, WebP, GIF (its first frame), ...; RGB, gray, palette, CMYK, 16 bit, with alpha.
        where: what to name in the error.

    Returns:
        uint8 of shape (H, W, 3), RGB.

    Raises:
        DataError: it is not a picture, is damaged, or is so large that decoding it could fill the memory.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on odd metadata; what cannot be decoded raises
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(encoded), formats=FORMATS) as opened:
                picture = _on_white(ImageOps.exif_transpose(opened))
    except Exception as error:  # decoders raise almost anything on a broken file
        raise DataError(
            f"the picture of {where} cannot be read: {error}",
            where=where,
            remedy="`transrec check` lists all pictures that cannot be read",
        ) from None
    return np.asarray(picture)


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":
        gray = np.asarray(picture, dtype=np.float64)
        depth = 65535 if gray.max(initial=0.0) > 255 else 255
        return Image.fromarray(np.clip(gray * 255 / depth, 0, 255).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def _resizing(processor: BaseImageProcessor, side: int | None) -> Mapping[str, Any]:
    """What to tell the processor so that its square has this side, in the proportions that it has itself."""
    if side is None:
        return {}
    size = _sizes(getattr(processor, "size", None))
    crop = _sizes(getattr(processor, "crop_size", None)) if getattr(processor, "do_center_crop", None) else {}
    native = crop.get("height") or size.get("height") or size.get("shortest_edge")
    if not size or native is None:
        raise SettingsError(
            f"{type(processor).__name__} resizes to {size or 'nothing'}, which a side cannot replace",
            where="model.items.image.side",
            remedy="leave the side out",
        )
    chosen: dict[str, Any] = {"size": {edge: round(length * side / native) for edge, length in size.items()}}
    if crop:
        chosen["crop_size"] = {"height": side, "width": side}
    return chosen


def _sizes(size: Any) -> dict[str, int]:
    return {edge: length for edge, length in dict(size or {}).items() if length}


def _normalisation(processor: Any) -> tuple[Tensor, Tensor]:
    """Mean and deviation (3, 1, 1) that do to bytes what the processor's rescaling and normalising would."""
    factor = processor.rescale_factor if processor.do_rescale else 1.0
    mean, deviation = torch.zeros(3), torch.ones(3)
    if processor.do_normalize:
        mean = torch.as_tensor(processor.image_mean, dtype=torch.float32).expand(3)
        deviation = torch.as_tensor(processor.image_std, dtype=torch.float32).expand(3)
    return (mean / factor)[:, None, None], (deviation / factor)[:, None, None]


def _width(backbone: PreTrainedModel) -> int:
    config: Any = backbone.config
    width = getattr(config, "hidden_size", None) or (getattr(config, "hidden_sizes", None) or [None])[-1]
    if width is None or backbone.main_input_name != "pixel_values":
        raise BackboneError(
            f"{type(backbone).__name__} does not read pictures",
            where="model.items.image.backbone",
            remedy="name a vision network such as microsoft/resnet-18",
        )
    return int(width)


def _has_class_token(backbone: PreTrainedModel) -> bool:
    return any(name.endswith(("cls_token", "class_embedding")) for name, _ in backbone.named_parameters())


def _is_clip(backbone: PreTrainedModel) -> bool:
    return backbone.config.model_type == "clip_vision_model"


def _extra_arguments(backbone: PreTrainedModel, side: int) -> Mapping[str, bool]:
    """Networks with learned positions stretch them only when told to."""
    native = getattr(backbone.config, "image_size", None)
    stretches = "interpolate_pos_encoding" in inspect.signature(backbone.forward).parameters
    return {"interpolate_pos_encoding": True} if stretches and native not in (None, side) else {}
