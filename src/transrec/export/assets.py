"""Assets: what turns an item's raw content into the inputs of its graph, outside of PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from transrec.data.catalog import Item
from transrec.export.manifest import PictureReading, TextReading
from transrec.items.encoder import ModalityEncoder
from transrec.items.image import ImageEncoder
from transrec.items.text import TextEncoder

TOKENIZER = "tokenizer.json"
PROCESSOR = "preprocessor_config.json"


def write_assets(encoder: ModalityEncoder, folder: Path) -> None:
    """Write an encoder's configuration, tokenizer or processor, without weights."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder.save_assets(folder)


def text_reading(encoder: ModalityEncoder, folder: Path, items: Sequence[Item]) -> TextReading | None:
    """How texts become tokens; None for other encoders than the built-in one.

    Args:
        encoder: of texts.
        folder: with its assets; two levels below the exported one.
        items: on whose texts the tokenizer's file is checked.
    """
    if not isinstance(encoder, TextEncoder):
        return None
    settings = encoder.settings
    read = [item for item in items if encoder.reads(item)]
    same = (folder / TOKENIZER).exists() and _reads_alike(encoder, folder / TOKENIZER, read)
    return TextReading(
        tokenizer=f"{folder.parent.name}/{folder.name}/{TOKENIZER}" if same else None,
        max_length=settings.max_length,
        padding=int(encoder.tokenizer.pad_token_id),
        pad_to_max_length=encoder.attends_padding,
    )


def picture_reading(encoder: ModalityEncoder, folder: Path) -> PictureReading | None:
    """How pictures become pixels; None for other encoders than the built-in one."""
    if not isinstance(encoder, ImageEncoder):
        return None
    return PictureReading(side=encoder.side, processor=f"{folder.parent.name}/{folder.name}/{PROCESSOR}")


def _reads_alike(encoder: TextEncoder, path: Path, items: Sequence[Item]) -> bool:
    """Whether the file alone splits these texts as the encoder does."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(encoder.settings.max_length)
    found = tokenizer.encode_batch([item.text or "" for item in items])
    # without special tokens an empty text is no token at all, and the encoder gives it one of padding
    ids = [own.ids or [int(encoder.tokenizer.pad_token_id)] for own in found]
    return ids == [values.tolist() for values in encoder.prepare(items)["tokens"].each()]
