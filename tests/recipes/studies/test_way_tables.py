"""Numbers of parameters as the table of a study of one platform shows them."""

from __future__ import annotations

import pytest

from transrec.recipes.studies.way_tables import readable_count


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1K"),
        (12_345, "12.3K"),
        (999_400, "999K"),
        (999_999, "1M"),
        (109_482_240, "109M"),
        (1_500_000_000, "1.5B"),
    ],
)
def test_parameters_are_told_in_three_figures(number: int, told: str) -> None:
    assert readable_count(number) == told
