"""Errors: one message with what, where and how to mend it."""

from __future__ import annotations

import pytest

from transrec.errors import DataError, MissingExtraError, TransRecError, UnknownItemError, require_extra


def test_one_message_with_all_three() -> None:
    error = DataError("3 rows are ragged", where="views.csv", remedy="quote the commas")
    assert str(error) == "3 rows are ragged [views.csv]\n  To mend it: quote the commas"
    assert (error.what, error.where, error.remedy) == ("3 rows are ragged", "views.csv", "quote the commas")
    assert str(TransRecError("broken")) == "broken"


def test_one_except_is_enough() -> None:
    with pytest.raises(TransRecError):
        raise UnknownItemError("no item 'x'")


def test_a_missing_extra_says_how_to_install_it() -> None:
    with pytest.raises(
        MissingExtraError, match=r"'no_such_library.part' is not installed; it is needed for indexes"
    ) as caught:
        require_extra("no_such_library.part", extra="ann", purpose="indexes")
    assert caught.value.remedy == "pip install 'transrec[ann]'"


def test_a_library_that_is_there_is_given() -> None:
    assert require_extra("json", extra="ann", purpose="nothing").loads("1") == 1


def test_a_library_that_lacks_a_part_of_its_own_says_so_itself(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "half_there.py").write_text("import surely_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="surely_not_there"):
        require_extra("half_there", extra="ann", purpose="nothing")
