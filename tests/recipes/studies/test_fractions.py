"""The study of fractions: one line for each share, beside a whole copy, on what is trained once for all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from comparing_ground import make_ground as given_ground
from studying_ground import QUICK, Told

from transrec.errors import ModelError, SettingsError
from transrec.recipes.comparing import work
from transrec.recipes.studies.fractions import study_fractions
from transrec.recipes.studies.settings import FractionsSettings


def asked(**given: Any) -> FractionsSettings:
    return FractionsSettings.from_mapping({**QUICK, "training": {"epochs": 1}, **given})


def test_a_line_for_each_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ground, console = given_ground(tmp_path), Told()
    folder = ground.run / "study" / "small" / "fractions"
    study = study_fractions(ground.run, ground.target, asked(omegas="0.5,0"), console=console)
    assert [line.label for line in study.lines] == ["copied", "0", "0.5"]
    assert [line.facts["rules"] for line in study.lines] == [[], ["users.*=fraction(0)"], ["users.*=fraction(0.5)"]]
    jobs = [path.name.split("-users")[0] for path in (folder / "jobs").iterdir() if path.is_dir()]
    assert sorted(jobs) == ["scratch", "transferred", "transferred", "transferred", "zero-shot"]
    for own in (folder / "jobs").glob("transferred*/run/parameters.json"):
        sources = {row["source"] for row in json.loads(own.read_text())["parameters"] if row["name"].startswith("users.")}
        assert sources in ({"copy"}, {"copy", "fraction(0)"}, {"copy", "fraction(0.5)"})
    chosen = max(study.lines, key=lambda line: line.facts["validation"]).label
    told = " ".join(console.text.split())
    assert f"validation (valid.) chooses {'copied whole' if chosen == 'copied' else f'omega = {chosen}'};" in told
    assert "with the parts copied and omega 0 and 0.5" in study.headline and "…" not in console.text, (
        "the table must fit into 80 columns"
    )
    assert {path.name for path in folder.glob("study.*")} == {"study.json", "study.md", "study.png"}

    for name in ("train", "transfer", "rank_targets"):
        monkeypatch.setattr(work, name, None)
    again = study_fractions(ground.run, ground.target, asked(omegas="0,0.5"), console=Told())
    assert again.sentences == study.sentences, "a second call trains nothing"

    monkeypatch.setattr("transrec.recipes.studies.fractions.compare", None)
    with pytest.raises(ModelError, match="born similar"):
        study_fractions(ground.run, ground.target, asked(parts="users.*,items.projections.*"), console=Told())
    with pytest.raises(SettingsError, match="matches no parameter"):
        study_fractions(ground.run, ground.target, asked(parts="user.*"), console=Told())


def test_settings_become_rules() -> None:
    settings = asked(omegas="1,0.1,1", parts="users.blocks.*,scorer.*,users.blocks.*", mode="convex", tune="frozen")
    assert settings.omegas == (0.1, 1.0)
    assert settings.rules_of(0.1) == ["users.blocks.*=fraction(0.1, convex)", "scorer.*=fraction(0.1, convex)"]
    assert settings.of_compare(rules=settings.rules_of(1.0)).tune == ("frozen",)
    for wrong in ("1.1", "-0.1"):
        with pytest.raises(SettingsError, match="omegas"):
            asked(omegas=wrong)


def test_few_users_of_the_target_train_and_all_test(tmp_path: Path) -> None:
    ground, console = given_ground(tmp_path), Told()
    study = study_fractions(ground.run, ground.target, asked(omegas="0.5", target_users=0.7), console=console)
    everybody = study_fractions(ground.run, ground.target, asked(omegas="0.5"), tmp_path / "all", console=Told())
    assert "0.7 of the target's users train" in " ".join(console.text.split())
    for line, whole in zip(study.lines, everybody.lines, strict=True):
        few, many = line.row("transferred"), whole.row("transferred")
        assert few is not None and many is not None
        assert (few.fraction, many.fraction) == (0.7, 1.0)
        assert few.users < many.users
        assert few.measured.values_SE.shape == many.measured.values_SE.shape, "the same are tested"
