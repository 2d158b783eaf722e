"""Columns are guessed from names, and a guess is marked as one."""

import pytest

from transrec.data.reading.columns import ITEM, TIME, USER, choose, choose_text, require
from transrec.errors import DataError


@pytest.mark.parametrize(
    ("columns", "user", "item", "time"),
    [
        (["user_id", "item_id", "timestamp"], "user_id", "item_id", "timestamp"),
        (["userId", "movieId", "rating", "timestamp"], "userId", "movieId", "timestamp"),
        (["t_dat", "customer_id", "article_id", "price"], "customer_id", "article_id", "t_dat"),
        (["reviewerID", "asin", "unixReviewTime"], "reviewerID", "asin", "unixReviewTime"),
        (["user_id:token", "item_id:token", "timestamp:float"], "user_id:token", "item_id:token", "timestamp:float"),
    ],
)
def test_the_columns_of_public_datasets_are_found(columns: list[str], user: str, item: str, time: str) -> None:
    found = [choose("", None, known, columns, flag="--x").column for known in (USER, ITEM, TIME)]
    assert found == [user, item, time]


def test_a_guess_says_so_and_names_its_flag() -> None:
    assert choose("user", None, USER, ["uid"], flag="--user").shown == "user: uid (guessed; --user to choose another)"
    assert choose("user", "who", USER, ["uid", "who"], flag="--user").shown == "user: who"
    assert choose("weight", "none", USER, ["uid"], flag="--weight").column is None


def test_a_missing_column_names_those_that_are_there() -> None:
    with pytest.raises(DataError, match=r"'a', 'b'.*--user"):
        choose("user", "who", USER, ["a", "b"], flag="--user")
    with pytest.raises(DataError, match=r"no column looks like the user.*\n.*--user COLUMN"):
        require(choose("user", None, USER, ["a", "b"], flag="--user"), ["a", "b"], where="table.csv")


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        (["id", "title", "description"], "{title}. {description}"),
        (["id", "name"], "name"),
        (["id", "text"], "text"),
        (["id", "price"], None),
    ],
)
def test_text_is_title_and_description(columns: list[str], text: str | None) -> None:
    assert choose_text(None, columns).column == text
