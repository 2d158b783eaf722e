from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from transrec.errors import SettingsError
from transrec.recipes.comparing.settings import CompareSettings
from transrec.recipes.comparing.variants import ROWS, USUAL


def made(**given: Any) -> CompareSettings:
    return CompareSettings.from_mapping(given)


def test_lists_come_with_commas_or_without() -> None:
    settings = made(
        rows="scratch,transferred", seeds="0,3", fractions=["0.1,1"], tune=["full", "top:2,frozen"], rates="1,.3"
    )
    assert settings.rows == ("scratch", "transferred") and settings.seeds == (0, 3)
    assert settings.fractions == (0.1, 1.0) and settings.tune == ("full", "top:2", "frozen")
    assert settings.rates == (1.0, 0.3)
    assert made(seeds=[4, 2]).seeds == (4, 2)


def test_nothing_is_done_twice_and_shares_are_in_order() -> None:
    settings = made(seeds="1,1,0", rows="ease,ease", fractions="1,0.1,0.1", tune="full,full")
    assert settings.seeds == (1, 0) and settings.rows == ("ease",)
    assert settings.fractions == (0.1, 1.0) and settings.tune == ("full",)


def test_the_usual_rows_are_rows() -> None:
    assert set(USUAL) <= set(ROWS) and CompareSettings().rows == USUAL
    assert all(name == row.name for name, row in ROWS.items())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"rows": "scrach"}, r"no row 'scrach'; did you mean 'scratch'\? known are popularity"),
        ({"rows": "nonsense"}, "known are popularity, markov"),
        ({"rows": []}, "rows"),
        ({"fractions": "0"}, "fractions.0: .* greater than 0"),
        ({"fractions": "0.5,1.5"}, "fractions.1: .* less than or equal to 1"),
        ({"fractions": "some"}, "fractions"),
        ({"seeds": "-1"}, "seeds"),
        ({"seeds": ""}, "seeds"),
        ({"tune": "partly"}, "'partly' is not a tuning rule"),
        ({"rules": ["users.*"]}, "is not a rule"),
        ({"metric": "NDCG@7"}, "there is no such metric; known are MRR, HR@1"),
        ({"metric": "HR@10", "evaluation": {"cutoffs": [5]}}, r"known are MRR, HR@5, NDCG@5, MRR@5 \(given: 'HR@10'\)"),
        ({"split": {"users": 0.5}}, "said with fractions"),
        ({"alpha": 0}, "alpha"),
        ({"rates": "0"}, "rates"),
        ({"epochs": 3}, "no such setting"),
    ],
)
def test_what_makes_no_sense_is_told(given: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        made(**given)


def test_a_cutoff_of_ones_own_can_be_the_metric() -> None:
    assert made(metric="HR@7", evaluation={"cutoffs": [7]}).metric == "HR@7"


def test_the_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        CompareSettings().alpha = 0.5  # type: ignore[misc]
