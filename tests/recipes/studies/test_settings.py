"""What a study asks of every comparison."""

from __future__ import annotations

import pytest

from transrec.errors import SettingsError
from transrec.recipes.studies.settings import KindsSettings, SourcesSettings, StudySettings
from transrec.recipes.studies.way_settings import EncodersSettings, IdentityStudySettings
from transrec.settings import Settings


def test_only_what_was_given_goes_before_the_run() -> None:
    settings = KindsSettings.from_mapping({"training": {"epochs": 3}, "seeds": "1,2", "tune": "full"})
    compared = settings.of_compare()
    assert compared.rows == ("scratch", "zero-shot", "transferred") and compared.seeds == (1, 2)
    assert compared.fractions == (1.0,) and compared.tune == ("full",)
    given = compared.model_dump(exclude_unset=True)
    assert given["training"] == {"epochs": 3} and not {"objective", "split", "stages"} & set(given)


def test_every_shared_setting_reaches_the_comparison() -> None:
    values = {
        "seeds": [4],
        "rates": [0.5],
        "evaluation": {"cutoffs": [5]},
        "metric": "NDCG@5",
        "alpha": 0.1,
        "permutations": 500,
        "remove_overlap": True,
        "keep_models": False,
        "target_users": 0.25,
    }
    assert set(values) == set(StudySettings.model_fields)
    for settings in (KindsSettings.from_mapping(values), SourcesSettings.from_mapping(values)):
        compared = settings.of_compare().model_dump(mode="json")
        compared["target_users"] = compared["fractions"][0]
        for name, value in values.items():
            assert compared[name] == (value if name != "evaluation" else {**compared[name], "cutoffs": [5]}), name


def test_shares_are_in_order_and_kinds_once() -> None:
    assert SourcesSettings.from_mapping({"shares": "1,0.1,1"}).shares == (0.1, 1.0)
    assert KindsSettings.from_mapping({"kinds": "both,text,both"}).kinds == ("both", "text")


def test_content_comes_first_and_everything_once() -> None:
    assert IdentityStudySettings.from_mapping({"lines": "both,content,both"}).asked == ("content", "both")
    settings = EncodersSettings.from_mapping({"tunes": "full,frozen,full", "seeds": "1,1", "rates": "1,2,1"})
    assert (settings.asked, settings.seeds, settings.rates) == (("full", "frozen"), (1,), (1.0, 2.0))


@pytest.mark.parametrize(
    ("settings", "values", "told"),
    [
        (KindsSettings, {"kinds": "txt"}, "did you mean 'text'"),
        (KindsSettings, {"kinds": "sound"}, "known are mixed, text, image, both"),
        (SourcesSettings, {"shares": "0,1"}, "greater than 0"),
        (SourcesSettings, {"shares": "1.5"}, "less than or equal to 1"),
        (EncodersSettings, {"tunes": "frozen,some"}, "'some' is not a tuning rule"),
        (EncodersSettings, {"tunes": "lora,lora:8"}, "against the first, lora:8; name at least one more"),
        (EncodersSettings, {"metric": "AUC"}, "no metric 'AUC'; known are HR@1"),
        (IdentityStudySettings, {"lines": "identiy"}, "did you mean 'identity'"),
        (IdentityStudySettings, {"lines": "content"}, "name at least one more"),
    ],
)
def test_what_is_wrong_is_told(settings: type[Settings], values: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        settings.from_mapping(values)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"rows": "trasferred"}, "did you mean 'transferred'"),
        ({"metric": "AUC"}, "no such metric"),
        ({"tune": "some"}, "not a tuning rule"),
        ({"split": {"users": 0.5}}, "said with fractions"),
    ],
)
def test_what_compare_refuses_is_refused(values: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        KindsSettings.from_mapping(values).of_compare()
