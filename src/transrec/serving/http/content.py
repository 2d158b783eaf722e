"""Content: what clients send of an item, as an item: pictures within limits, columns that the catalog has."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from transrec.data.catalog import Catalog
from transrec.data.item import Item
from transrec.data.pictures import PictureSettings, encode, own_limits
from transrec.data.reading.findings import Trouble
from transrec.errors import ServingError
from transrec.serving.http.addresses import fetch_public
from transrec.serving.http.bodies import Content, Scalar
from transrec.serving.http.settings import ServeSettings

THUMBNAILS = {"jpeg": "image/jpeg", "webp": "image/webp"}


def picture_of(raw: bytes, settings: ServeSettings) -> bytes:
    """A picture as ``transrec ingest`` would keep it: small, upright, JPEG. Takes a while: not for the event loop.

    Raises:
        ServingError: 422 for what is no picture, 413 for one with too many pixels.
    """
    limits = PictureSettings(max_pixels=settings.max_picture_pixels, max_picture_bytes=settings.max_body_bytes)
    with own_limits():
        found = encode(raw, limits)
    if not isinstance(found, Trouble):
        return found
    bomb = found.reason.name == "PICTURE_BOMB"
    why = "it is in no known format" if found.detail.startswith("UnidentifiedImageError") else found.detail
    raise ServingError(
        f"the picture cannot be used: {why}",
        status=413 if bomb else 422,
        where="image",
        remedy="send a smaller one" if bomb else "send a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF file",
    )


def item_of(item_id: str, content: Content, settings: ServeSettings) -> Item:
    """An item from what a client sent. Takes a while: not for the event loop.

    Raises:
        ServingError: its picture cannot be used.
        DataError: there is nothing in it.
    """
    picture = None
    if content.image is not None:
        picture = picture_of(_decoded(content.image), settings)
    elif content.image_url is not None:
        if not settings.allow_picture_urls:
            raise ServingError(
                "this service fetches no pictures",
                status=422,
                where="image_url",
                remedy="send the picture itself, as `image` (--allow-picture-urls changes that)",
            )
        picture = picture_of(fetch_public(content.image_url, most=settings.max_body_bytes), settings)
    vectors = {name: np.asarray(values, dtype=np.float32) for name, values in (content.vectors or {}).items()}
    return Item(item_id, content.text, picture, vectors)


def columns_of(columns: Mapping[str, Scalar] | None, catalog: Catalog) -> dict[str, list[Any]]:
    """Further columns of one item, each a list of one value.

    Raises:
        ServingError: 422; the catalog has no such column. A misspelt one would otherwise be one more for ever.
    """
    for name in columns or {}:
        if name not in catalog.columns:
            raise ServingError(
                f"the catalog has no column {name!r}",
                status=422,
                where="columns",
                remedy=f"it has {', '.join(catalog.columns) or 'none'}",
            )
    return {name: [value] for name, value in (columns or {}).items()}


def thumbnail_of(picture: bytes, side: int, form: str) -> bytes:
    """A picture with its longer side at most ``side`` pixels, as ``"jpeg"`` or ``"webp"``.

    Raises:
        ServingError: 422; the catalog's picture is damaged.
    """
    found = encode(picture, PictureSettings(picture_side=side, picture_quality=85))
    if isinstance(found, Trouble):
        raise ServingError(
            f"the picture of this item is damaged: {found.detail}", status=422, remedy="give the item another"
        )
    if form == "jpeg":
        return found
    out = io.BytesIO()
    with Image.open(io.BytesIO(found)) as small:
        small.save(out, "WEBP", quality=80)
    return out.getvalue()


def _decoded(text: str) -> bytes:
    """Base64, with or without the beginning of a data address."""
    try:
        return base64.b64decode(text.rpartition("base64,")[2], validate=True)
    except (binascii.Error, ValueError):
        raise ServingError(
            "the picture is not base64", status=422, where="image", remedy="encode the file as base64"
        ) from None
