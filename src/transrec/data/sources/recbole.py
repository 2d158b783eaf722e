"""RecBole's atomic files: ``NAME.inter`` and ``NAME.item``, separated by tabs, each column with its type in the header."""

from __future__ import annotations

from pathlib import Path

from transrec.data.reading.columns import DESCRIPTION, ITEM, TIME, TITLE, USER, WEIGHT, plain
from transrec.data.reading.damage import told_of
from transrec.data.reading.delimited import Format, sniff
from transrec.data.sources.layout import Layout
from transrec.errors import DataError

_TAB = Format(separator="\t", quoted=False)


def recbole(folder: Path) -> Layout:
    """The atomic files of one folder.

    Text is the title, else the first ``token_seq`` columns that the item file has; ``float_seq`` columns are given vectors.

    Raises:
        DataError: there is not exactly one ``.inter`` and one ``.item`` file.
    """
    events, items = _only(folder, ".inter"), _only(folder, ".item")
    with told_of(events):
        in_events = sniff(events, _TAB)
    with told_of(items):
        in_items = sniff(items, _TAB)
    roles = {
        "user": _first(USER, in_events.header),
        "item": _first(ITEM, in_events.header),
        "time": _first(TIME, in_events.header),
        "weight": _first(WEIGHT, in_events.header) or "none",
        "id": _first(ITEM, in_items.header),
        "text": _text(in_items.header),
    }
    vectors = {name.partition(":")[0]: name for name in in_items.header if name.endswith(":float_seq")}
    return Layout((events,), (items,), in_events, in_items, {k: v for k, v in roles.items() if v}, vectors=vectors)


def _only(folder: Path, suffix: str) -> Path:
    found = sorted(folder.glob("*" + suffix))
    if len(found) != 1:
        raise DataError(
            f"{len(found)} files end in {suffix}, one is needed",
            where=str(folder),
            remedy="RecBole's atomic files are NAME.inter and NAME.item; items without content cannot be used",
        )
    return found[0]


def _first(known: tuple[str, ...], header: tuple[str, ...]) -> str | None:
    by_name = {plain(name): name for name in header}
    return next((by_name[plain(name)] for name in known if plain(name) in by_name), None)


def _text(header: tuple[str, ...]) -> str | None:
    named = [name for known in (TITLE, DESCRIPTION) if (name := _first(known, header)) is not None]
    sequences = [name for name in header if name.endswith(":token_seq") and name not in named]
    parts = [*named, *sequences]
    return ". ".join("{" + name + "}" for name in parts) or None
