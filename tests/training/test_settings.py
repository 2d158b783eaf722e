"""Settings of the loop: sizes are numbers, or are to be found."""

from __future__ import annotations

import pytest

from transrec.errors import SettingsError
from transrec.training.settings import TrainingSettings


def read(**values: object) -> TrainingSettings:
    return TrainingSettings.from_mapping(values)


def test_a_size_is_a_number_or_is_to_be_found() -> None:
    assert read().to_find == ()
    assert (read(batch_size="128").batch_size, read(items_at_once=7).items_at_once) == (128, 7)
    assert read(batch_size="auto").to_find == ("batch_size",)
    assert read(items_at_once="auto").to_find == ("items_at_once",)


@pytest.mark.parametrize("value", [0, -3, "0", "atuo", 2.5, True, ""])
def test_another_size_is_refused_in_one_line(value: object) -> None:
    for name in ("batch_size", "items_at_once"):
        with pytest.raises(SettingsError) as caught:
            read(**{name: value})
        assert caught.value.what == f"{name}: it is a whole number from 1 on, or auto (given: {value!r})"


def test_only_the_size_that_may_be_left_out_can_be_null() -> None:
    assert read(items_at_once=None).items_at_once is None
    with pytest.raises(SettingsError, match="batch_size"):
        read(batch_size=None)


def test_one_size_is_found_at_a_time() -> None:
    with pytest.raises(SettingsError, match="cannot both be auto"):
        read(batch_size="auto", items_at_once="auto")
