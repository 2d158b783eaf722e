"""Public formats that are wrong: files missing, doubled, cut short, of another kind, or with rows that say nothing."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

from corruption.broken import (
    Refused,
    SetAside,
    Spoils,
    a_folder_at,
    both,
    cut_short,
    with_instead,
    with_lines,
    with_text,
    without,
)
from public_formats import write_amazon2023, write_hm, write_mind

FOLDERS = {"mind": "MIND", "amazon2023": "amazon", "hm": "hm", "movielens": "ml", "recbole": "atomic"}
TRAIN, DEV = "MIND/MINDsmall_train", "MIND/MINDsmall_dev"
REVIEWS, PRODUCTS = "amazon/All_Beauty.jsonl.gz", "amazon/meta_All_Beauty.jsonl.gz"
RATINGS = "user_id,parent_asin,rating,timestamp\nann,B00YQ6X8EO,5,1588687728923\n"
PHOTO = "hm/images/010/0108775015.jpg"


def _mind(folder: Path) -> None:
    write_mind(folder / "MIND")


def _amazon(folder: Path) -> None:
    write_amazon2023(folder / "amazon")


def _hm(folder: Path) -> None:
    write_hm(folder / "hm")


def _movielens(folder: Path) -> None:
    (folder / "ml").mkdir()
    events = [f"{user},{item},4.0,{964982703 + user + item}" for user in (1, 2) for item in (1, 2, 3)]
    (folder / "ml" / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *events]) + "\n")
    films = ["1,Heat (1995),Action|Crime", "2,Alien (1979),Horror", "3,Up (2009),Animation"]
    (folder / "ml" / "movies.csv").write_text("\n".join(["movieId,title,genres", *films]) + "\n")


def _recbole(folder: Path) -> None:
    (folder / "atomic").mkdir()
    events = [f"u{user}\ti{item}\t{100 * user + item}" for user in (1, 2) for item in (1, 2, 3)]
    header = "user_id:token\titem_id:token\ttimestamp:float"
    (folder / "atomic" / "shop.inter").write_text("\n".join([header, *events]) + "\n")
    items = ["i1\tred cup\t0.1 0.2", "i2\tblue cup\t0.3 0.4", "i3\tspoon\t0.5 0.6"]
    header = "item_id:token\ttitle:token_seq\tvec:float_seq"
    (folder / "atomic" / "shop.item").write_text("\n".join([header, *items]) + "\n")


GOOD: dict[str, Spoils] = {"mind": _mind, "amazon2023": _amazon, "hm": _hm, "movielens": _movielens, "recbole": _recbole}
"""Writes a small sound sample of each format."""


def _unpacked(name: str, change: Callable[[bytes], bytes]) -> Spoils:
    """What is in a compressed file is something else."""

    def spoil(folder: Path) -> None:
        path = folder / name
        path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))

    return spoil


def _with(name: str, *lines: str) -> Spoils:
    """A compressed file has further lines."""
    return _unpacked(name, lambda content: content + "".join(f"{line}\n" for line in lines).encode())


def _swapped(name: str, old: bytes, new: bytes) -> Spoils:
    """A file has other bytes."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes().replace(old, new))


def _copied(name: str, to: str) -> Spoils:
    def spoil(folder: Path) -> None:
        (folder / to).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / name, folder / to)

    return spoil


def _utf16(name: str) -> Spoils:
    return lambda folder: (folder / name).write_text((folder / name).read_text(), encoding="utf-16")


def _file_for_folder(name: str) -> Spoils:
    def spoil(folder: Path) -> None:
        shutil.rmtree(folder / name)
        (folder / name).write_text("no folder")

    return spoil


def _refused(source: str, name: str, spoils: Spoils, *told: str) -> Refused:
    return Refused(f"{source}: {name}", both(GOOD[source], spoils), _command(source), told)


def _set_aside(source: str, name: str, spoils: Spoils, reason: str, *told: str, dropped: int = 1, kept: int = 0) -> SetAside:
    made = both(GOOD[source], spoils)
    return SetAside(f"{source}: {name}", made, reason, dropped, kept, told, _command(source), items=2)


def _command(source: str) -> str:
    return f"ingest --source {source} {FOLDERS[source]} --out new"


REFUSED = (
    _refused(
        "mind",
        "no impressions",
        both(without(f"{TRAIN}/behaviors.tsv"), without(f"{DEV}/behaviors.tsv")),
        "holds no behaviors.tsv",
        "[MIND]",
        "MINDsmall_train",
    ),
    _refused("mind", "no news", without(f"{TRAIN}/news.tsv"), "no news.tsv beside behaviors.tsv", TRAIN),
    _refused(
        "mind",
        "small and large",
        both(
            _copied(f"{TRAIN}/behaviors.tsv", "MIND/MINDlarge_train/behaviors.tsv"),
            _copied(f"{TRAIN}/news.tsv", "MIND/MINDlarge_train/news.tsv"),
        ),
        "the small MIND and the large one",
        "ingest one of the two",
    ),
    _refused("mind", "empty impressions", with_text(f"{TRAIN}/behaviors.tsv", ""), "is empty", TRAIN, "copy the file again"),
    _refused("mind", "empty news", with_text(f"{DEV}/news.tsv", ""), "is empty", f"{DEV}/news.tsv", "copy the file again"),
    _refused("mind", "folder for impressions", a_folder_at(f"{TRAIN}/behaviors.tsv"), f"{TRAIN}/behaviors.tsv is a folder"),
    _refused("mind", "UTF-16", _utf16(f"{TRAIN}/behaviors.tsv"), "UTF-16", TRAIN, "save it as UTF-8"),
    _refused("mind", "file for the folder", _file_for_folder("MIND"), "MIND is not a folder", "--source mind FOLDER"),
    _refused("amazon2023", "no products", without(PRODUCTS), "no meta_CATEGORY.jsonl", "[amazon]", "beside its reviews"),
    _refused("amazon2023", "no events", without(REVIEWS), "there is no All_Beauty.jsonl", "[amazon]", "beside its products"),
    _refused(
        "amazon2023",
        "products twice",
        _copied(PRODUCTS, "amazon/again/meta_All_Beauty.jsonl.gz"),
        "is here 2 times",
        "amazon/again",
        "in which it is once",
    ),
    _refused(
        "amazon2023",
        "events in two ways",
        with_text("amazon/All_Beauty.csv", RATINGS),
        "are here 2 times: All_Beauty.jsonl and All_Beauty.csv",
        "in which they are once",
    ),
    _refused(
        "amazon2023",
        "a part of the benchmark",
        both(without(REVIEWS), with_text("amazon/All_Beauty.train.csv", RATINGS)),
        "no All_Beauty.valid.csv",
        "beside its products",
    ),
    _refused("amazon2023", "reviews cut short", cut_short(REVIEWS), "gzip", REVIEWS, "copy the file again"),
    _refused("amazon2023", "products cut short", cut_short(PRODUCTS), "gzip", PRODUCTS, "copy the file again"),
    _refused("amazon2023", "not compressed", with_text(REVIEWS, "{}\n"), "not a gzip file", REVIEWS, "how its name ends"),
    _refused(
        "amazon2023", "no reviews in it", _unpacked(REVIEWS, lambda _: b""), "no column 'user_id'", REVIEWS, "--source"
    ),
    _refused(
        "amazon2023",
        "an older layout",
        _unpacked(REVIEWS, lambda content: content.replace(b"parent_asin", b"asin_of_all")),
        "no column 'parent_asin'",
        REVIEWS,
        "'asin_of_all'",
    ),
    _refused(
        "amazon2023",
        "products without a title",
        _unpacked(PRODUCTS, lambda content: content.replace(b'"title"', b'"name"')),
        "no column 'title'",
        PRODUCTS,
        "'name'",
    ),
    _refused("hm", "no purchases", without("hm/transactions_train.csv"), "no transactions_train.csv", "[hm]", "unpacked"),
    _refused("hm", "no articles", without("hm/articles.csv"), "no articles.csv", "[hm]", "unpacked"),
    _refused(
        "hm", "empty articles", with_text("hm/articles.csv", ""), "is empty", "hm/articles.csv", "names of the columns"
    ),
    _refused(
        "hm",
        "only a header",
        with_text("hm/transactions_train.csv", "t_dat,customer_id,article_id,price,sales_channel_id\n"),
        "no event is left",
        "hold no rows",
    ),
    _refused(
        "hm", "another name", with_instead("hm/articles.csv", "article_id,", "sku,"), "'article_id' for the id", "'sku'"
    ),
    _refused("hm", "no description", with_instead("hm/articles.csv", "detail_desc", "more"), "no column 'detail_desc'"),
    _refused(
        "hm", "semicolons", _swapped("hm/transactions_train.csv", b",", b";"), "no column 'customer_id'", "t_dat;customer_id"
    ),
    _refused("movielens", "no films", without("ml/movies.csv"), "no MovieLens data", "[ml]", "ratings.csv and movies.csv"),
    _refused("movielens", "empty ratings", with_text("ml/ratings.csv", ""), "is empty", "ml/ratings.csv"),
    _refused("movielens", "another name", with_instead("ml/ratings.csv", "userId", "who"), "no column 'userId'", "'who'"),
    _refused(
        "movielens",
        "tabs for colons",
        both(
            without("ml/ratings.csv"),
            with_text("ml/ratings.dat", "1\t1\t5\t8\n"),
            with_text("ml/movies.dat", "1::Heat::Action\n"),
        ),
        "no event is left",
        "ragged row",
    ),
    _refused(
        "movielens",
        "films cut short",
        both(without("ml/ratings.csv"), with_text("ml/u.data", "1\t1\t5\t8\n"), with_text("ml/u.item", "1|Heat|x\n")),
        "none of the items can be used",
        "ragged row",
    ),
    _refused("recbole", "no events", without("atomic/shop.inter"), "0 files end in .inter", "[atomic]", "NAME.inter"),
    _refused("recbole", "no items", without("atomic/shop.item"), "0 files end in .item", "[atomic]", "NAME.item"),
    _refused("recbole", "two platforms", with_text("atomic/other.inter", "x\n"), "2 files end in .inter", "[atomic]"),
    _refused("recbole", "empty events", with_text("atomic/shop.inter", ""), "is empty", "atomic/shop.inter"),
    _refused("recbole", "commas", _swapped("atomic/shop.inter", b"\t", b","), "no column looks like the item", "--item"),
    _refused("recbole", "folder for events", a_folder_at("atomic/shop.inter"), "cannot be read", "atomic/shop.inter"),
)

SET_ASIDE = (
    _set_aside("mind", "few fields", with_lines(f"{TRAIN}/behaviors.tsv", "4\tU1\tN1"), "ragged row", "row 4", "3 fields"),
    _set_aside(
        "mind",
        "a time in words",
        with_lines(f"{TRAIN}/behaviors.tsv", "4\tU1\tyesterday\t\tN2-1"),
        "bad or missing time",
        "row 4",
        "not like 11/15/2019 9:05:58 AM: yesterday",
    ),
    _set_aside(
        "mind",
        "a click on nothing",
        with_lines(f"{TRAIN}/behaviors.tsv", "4\tU1\t11/12/2019 12:00:00 AM\t\tN77-1"),
        "unknown item",
        "row 4",
        "N77",
    ),
    _set_aside(
        "mind",
        "nobody",
        with_lines(f"{TRAIN}/behaviors.tsv", "4\t\t11/12/2019 12:00:00 AM\t\tN1-1"),
        "missing user",
        "row 4",
    ),
    _set_aside("mind", "Latin-1", _swapped(f"{TRAIN}/news.tsv", b"Cats", b"C\xe4ts"), "wrong encoding", "row 3"),
    _set_aside(
        "mind", "news of two minds", _swapped(f"{TRAIN}/news.tsv", b"Cats", b"Dogs"), "duplicate id with different content"
    ),
    _set_aside("amazon2023", "half an object", _with(REVIEWS, '{"user_id": "x",'), "not a JSON object", "row 4"),
    _set_aside("amazon2023", "half a product", _with(PRODUCTS, '{"parent_asin": '), "not a JSON object", "row 3"),
    _set_aside("amazon2023", "a list", _with(REVIEWS, "[1, 2]"), "not a JSON object", "row 4"),
    _set_aside(
        "amazon2023",
        "no time",
        _with(REVIEWS, '{"user_id": "x", "parent_asin": "B00YQ6X8EO"}'),
        "bad or missing time",
        "row 4",
    ),
    _set_aside(
        "amazon2023",
        "nothing known",
        _with(REVIEWS, '{"user_id": "x", "parent_asin": "nobody", "rating": 1, "timestamp": 1}'),
        "unknown item",
        "nobody",
    ),
    _set_aside(
        "hm",
        "a date in words",
        with_lines("hm/transactions_train.csv", "yesterday,c,0108775015,0.1,2"),
        "bad or missing time",
    ),
    _set_aside("hm", "zeros lost", with_lines("hm/transactions_train.csv", "2018-09-20,c,108775015,0.1,2"), "unknown item"),
    _set_aside("hm", "a wide row", with_lines("hm/transactions_train.csv", "2018-09-20,c,0108775015,1,2,9"), "ragged row"),
    _set_aside("hm", "an open quote", with_lines("hm/articles.csv", '0108775099,1,"never'), "ragged row"),
    _set_aside("hm", "a photo cut short", cut_short(PHOTO), "unreadable picture", "0108775015", dropped=0, kept=1),
    _set_aside("hm", "a folder for a photo", a_folder_at(PHOTO), "picture not found", dropped=0, kept=2),
    _set_aside("movielens", "no time", with_lines("ml/ratings.csv", "3,1,4.0,never"), "bad or missing time", "row 7"),
    _set_aside("movielens", "no film", with_lines("ml/ratings.csv", "3,99,4.0,5"), "unknown item", "row 7: 99"),
    _set_aside("movielens", "no rating", with_lines("ml/ratings.csv", "3,1,good,5"), "bad or missing weight", "row 7"),
    _set_aside(
        "movielens", "a film twice", with_lines("ml/movies.csv", "1,Other,Drama"), "duplicate id with different content"
    ),
    _set_aside("recbole", "no time", with_lines("atomic/shop.inter", "u3\ti1\tnever"), "bad or missing time", "row 7"),
    _set_aside("recbole", "few fields", with_lines("atomic/shop.inter", "u3\ti1"), "ragged row", "row 7"),
    _set_aside(
        "recbole",
        "words for numbers",
        with_lines("atomic/shop.item", "i4\tfork\t0.1 x"),
        "bad vector",
        "i4",
        dropped=0,
        kept=1,
    ),
)
