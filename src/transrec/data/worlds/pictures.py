"""Pictures: an item's topic as a motif and its style as what is behind it, drawn with nuisance, as PNG bytes."""

from __future__ import annotations

import colorsys
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from transrec.data.worlds.motifs import MOTIFS, Role
from transrec.data.worlds.vocabulary import Dialect, Style, Texture, Topic

OVERSAMPLING = 3
"""Pictures are drawn this many times larger and averaged, which smooths the edges."""
INK = (40, 32, 44)


@dataclass(frozen=True, slots=True)
class Hand:
    """How one dialect draws.

    Attributes:
        hue_shift: added to every hue, in degrees.
        paleness: share of white mixed into every colour.
        outline: width of a dark outline around the motif as a share of the side; 0 for none.
    """

    hue_shift: float
    paleness: float
    outline: float


HANDS: dict[Dialect, Hand] = {
    "shop": Hand(hue_shift=0, paleness=0.0, outline=0.0),
    "magazine": Hand(hue_shift=12, paleness=0.25, outline=0.03),
}


def draw_picture(topic: Topic, style: Style, *, dialect: Dialect, side: int, generator: np.random.Generator) -> bytes:
    """A picture of ``side`` x ``side`` pixels as PNG.

    Where the motif stands, its size and angle, the phase and scale of the texture, brightness, small shifts of the hue
    and pixel noise are drawn and mean nothing.
    """
    hand = HANDS[dialect]
    large = side * OVERSAMPLING
    image = Image.fromarray(_ground(style, hand, large, generator))
    colours = _colours(topic, hand, generator)
    angle, size = np.radians(generator.uniform(-20, 20)), generator.uniform(0.30, 0.42) * large
    turn = size * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    centre = large * (0.5 + generator.uniform(-0.1, 0.1, size=2))
    pen = ImageDraw.Draw(image)
    outlines = [[(float(x), float(y)) for x, y in patch.points @ turn + centre] for patch in MOTIFS[topic.name]]
    if hand.outline:
        for points in outlines:  # before any filling, so that thin strokes keep their colour
            pen.line([*points, *points[:2]], fill=INK, width=round(2 * hand.outline * large), joint="curve")
    for patch, points in zip(MOTIFS[topic.name], outlines, strict=True):
        pen.polygon(points, fill=colours[patch.role])
    drawn = np.asarray(image.reduce(OVERSAMPLING), dtype=np.float64)
    pixels = drawn * generator.uniform(0.88, 1.06) + generator.normal(0, 4, size=drawn.shape)
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _rgb(hue: float, saturation: float, value: float, paleness: float = 0.0) -> tuple[int, int, int]:
    mixed = [(1 - paleness) * part + paleness for part in colorsys.hsv_to_rgb(hue % 360 / 360, saturation, value)]
    red, green, blue = (round(255 * part) for part in mixed)
    return red, green, blue


def _colours(topic: Topic, hand: Hand, generator: np.random.Generator) -> dict[Role, tuple[int, int, int]]:
    hue = topic.hue + hand.hue_shift + generator.uniform(-6, 6)
    return {
        "main": _rgb(hue, 0.75, 0.90, hand.paleness),
        "accent": _rgb(hue + 40, 0.70, 0.95, hand.paleness),
        "light": _rgb(hue, 0.18, 1.00, hand.paleness),
        "dark": _rgb(hue - 15, 0.80, 0.42, hand.paleness),
    }


def _ground(style: Style, hand: Hand, side: int, generator: np.random.Generator) -> np.ndarray:
    """What is behind the motif, uint8 of shape (side, side, 3)."""
    brightness = generator.uniform(0.9, 1.1)
    shift = hand.hue_shift + generator.uniform(-6, 6)
    ground, ink = (
        np.array(_rgb(hue + shift, saturation, min(1.0, value * brightness), hand.paleness / 2), dtype=np.float32)
        for hue, saturation, value in (style.ground, style.ink)
    )
    phase, scale = generator.uniform(0, 1, size=2), generator.uniform(0.85, 1.15)
    share = _texture(style.texture, side, phase, scale)[..., None].astype(np.float32)
    return (ground + share * (ink - ground)).astype(np.uint8)


def _texture(texture: Texture, side: int, phase: np.ndarray, scale: float) -> np.ndarray:
    """The share of ink at every pixel, between 0 and 1, of shape (side, side)."""
    along = np.arange(side) / side
    x, y = along[None, :] * 4 * scale + phase[0], along[:, None] * 4 * scale + phase[1]
    ink: np.ndarray
    match texture:
        case "plain":
            ink = np.broadcast_to(along[:, None], (side, side))
        case "stripes":
            ink = (x + y) % 1 < 0.45
        case "dots":
            ink = (x % 1 - 0.5) ** 2 + (y % 1 - 0.5) ** 2 < 0.09
        case "checks":
            ink = (np.floor(2 * x) + np.floor(2 * y)) % 2
        case "grid":
            ink = (x % 1 < 0.12) | (y % 1 < 0.12)
        case "rays":
            middle = along - 0.5
            ink = (np.arctan2(middle[:, None], middle[None, :]) * 10 / (2 * np.pi) + phase[0]) % 1 < 0.5
        case "waves":
            ink = (y + 0.25 * np.sin(2 * np.pi * x)) % 1 < 0.4
        case "paper":
            edge = np.maximum(np.abs(along[:, None] - 0.5), np.abs(along[None, :] - 0.5))
            ink = np.where(edge > 0.44, 1.0, np.where((edge > 0.38) & (edge < 0.41), 0.7, 0.15 * edge))
    return ink
