"""H&M's fashion of the Kaggle competition: ``transactions_train.csv``, ``articles.csv``, and photos in ``images``."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from transrec.data.reading.damage import told_of
from transrec.data.reading.delimited import Format, sniff
from transrec.data.reading.recast import Recast
from transrec.data.sources.layout import Layout
from transrec.errors import DataError

_COMMA = Format(separator=",")
_ROLES = {
    "user": "customer_id",
    "item": "article_id",
    "time": "t_dat",
    "weight": "none",
    "id": "article_id",
    "text": "{prod_name}. {product_type_name}. {colour_group_name}. {graphical_appearance_name}. {detail_desc}",
}


def hm(folder: Path) -> Layout:
    """Purchases and articles of one folder, with the photos where ``images`` is there too.

    The photo of article 0108775015 is ``images/010/0108775015.jpg``; this path is made as the column ``photo_file``.

    Raises:
        DataError: a table is missing, or is empty.
    """
    transactions, articles = folder / "transactions_train.csv", folder / "articles.csv"
    for path in (transactions, articles):
        if not path.is_file():
            raise DataError(
                f"there is no {path.name}, so no H&M data",
                where=str(folder),
                remedy="give the folder with transactions_train.csv and articles.csv of the competition, unpacked",
            )
    with told_of(articles):
        header = sniff(articles, _COMMA).header
    images = folder / "images" if (folder / "images").is_dir() else None
    return Layout(
        (transactions,),
        (articles,),
        _COMMA,
        _COMMA,
        {**_ROLES, "image_column": "photo_file"} if images else _ROLES,
        images=images,
        recasts={articles: Recast(header, (*header, "photo_file"), _with_photo)},
    )


def _with_photo(articles: pl.LazyFrame) -> pl.LazyFrame:
    article = pl.col("article_id")
    return articles.with_columns(photo_file=pl.format("{}/{}.jpg", article.str.slice(0, 3), article))
