"""The study of ids against content, where content alone can know what is new."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from cases import SETTINGS
from comparing_ground import TRAINING
from studying_ground import QUICK, Told

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.interactions import Interactions
from transrec.errors import SettingsError
from transrec.evaluation.intervals import paired_difference
from transrec.model import TransRec
from transrec.recipes.comparing.results import COLD
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.studies import trained
from transrec.recipes.studies.identity import study_identity
from transrec.recipes.studies.way_lines import WayLine
from transrec.recipes.studies.way_settings import LINES, IdentityStudySettings
from transrec.recipes.studies.way_study import WayStudy
from transrec.recipes.studies.ways import identity_ways

TOPICS, WARM, NEW, USERS = 5, 8, 4, 60


def new_items() -> Dataset:
    """Users who stay with a topic, which vectors tell; in the end most take an item that nobody has touched."""
    generator = np.random.default_rng(0)
    topics = np.repeat(np.arange(TOPICS), WARM + NEW)
    vectors = 3 * np.eye(TOPICS)[topics] + 0.3 * generator.normal(size=(len(topics), TOPICS))
    events = []
    for user in range(USERS):
        first = user % TOPICS * (WARM + NEW)
        known = first + generator.permutation(WARM)[:6]
        events += [(str(user), int(row), float(time)) for time, row in enumerate(known)]
        if user < USERS * 3 // 4:
            events.append((str(user), first + WARM + int(generator.integers(NEW)), 9.0))
    catalog = Catalog.from_items([Item(id=f"i{n}", vectors={"given": vector}) for n, vector in enumerate(vectors)])
    table = pl.DataFrame(events, schema=["user", "row", "time"], orient="row")
    return Dataset(catalog, Interactions.from_columns(table), name="new items")


def training(epochs: int = 3, **model: Any) -> TrainSettings:
    form = {**SETTINGS.model_dump(mode="json"), **model}
    return TrainSettings.from_mapping({"model": form, "training": {**TRAINING, "epochs": epochs}, "tune": "frozen"})


def staged() -> TrainSettings:
    stages = [{"objective": {"kind": "softmax"}, "tune": "top:1", "training": {"epochs": 1, "learning_rate": 0.01}}]
    return training().updated({"stages": stages})


def asked(**given: Any) -> IdentityStudySettings:
    return IdentityStudySettings.from_mapping({**QUICK, "rates": "1,4", "permutations": 1000, **given})


@dataclass(frozen=True)
class Ground:
    dataset: Dataset
    study: WayStudy
    folder: Path
    text: str

    def line(self, name: str) -> WayLine:
        return next(line for line in self.study.lines if line.ranked.way.name == name)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    folder, console, dataset = tmp_path_factory.mktemp("identity"), Told(), new_items()
    study = study_identity(dataset, training(), asked(), folder / "out", console=console)
    return Ground(dataset, study, folder / "out", console.text)


def test_each_line_reads_what_it_says(ground: Ground) -> None:
    found = {}
    for line in ground.study.lines:
        model = TransRec.load(line.ranked.chosen[0].run)
        found[line.ranked.way.name] = (list(model.items.encoders), model.prior is not None)
    both = ["given", "identity"]
    assert found == {
        "content": (["given"], True),
        "identity": (["identity"], True),
        "both": (both, True),
        "content-no-counts": (["given"], False),
        "identity-no-counts": (["identity"], False),
    }


def test_ids_learn_their_table_whatever_the_file_says(ground: Ground) -> None:
    ways, _ = identity_ways(staged(), ground.dataset.catalog, asked())
    by_name = {way.name: way.training for way in ways}
    assert [by_name[name].tune for name in LINES] == ["frozen", "full", "frozen", "frozen", "full"]
    assert by_name["identity"].stages[0].tune == "full" and by_name["content"].stages[0].tune == "top:1"
    line = ground.line("identity").ranked
    start = TransRec.build(line.way.training.model, [ground.dataset.catalog], seed=0)
    before, after = (own.items.encoders["identity"].table.weight for own in (start, TransRec.load(line.chosen[0].run)))
    assert (after - before).abs().mean() > 0.001


def test_content_wins_on_items_that_nobody_has_touched(ground: Ground) -> None:
    content, ids = ground.line("content-no-counts"), ground.line("identity-no-counts")
    counts = ground.study.split.train_counts(len(ground.dataset.catalog))
    cold = counts[content.ranked.targets[0].rows] == 0
    assert cold.sum() == USERS * 3 // 4
    gain = paired_difference(
        content.measured.mean_E[cold], ids.measured.mean_E[cold], np.flatnonzero(cold), np.random.default_rng(1)
    ).gain
    assert gain.low > 0.1
    ours, theirs = content.slice(COLD), ids.slice(COLD)
    assert ours is not None and theirs is not None and ours.targets == cold.sum()
    assert ours.value.value - theirs.value.value == pytest.approx(gain.value)
    table = (ground.folder / "study.md").read_text()
    assert f"cold ({cold.sum()})" in table and "ids without counts is worse than content without counts" in table


def test_rates_are_chosen_on_validation_for_each_line_and_no_other_is_tested(ground: Ground) -> None:
    written = json.loads((ground.folder / "study.json").read_text())
    for line in written["lines"]:
        best = {f"{own['rate']:g}": own["fit"]["best"] for own in line["trainings"]}
        assert line["validation"] == best and line["rate"] == float(max(best, key=lambda rate: best[rate]))
        for own in line["trainings"]:
            ranked = (ground.folder / "runs" / own["folder"] / "ranks-popularity1.parquet").exists()
            assert ranked == own["counted"] == (own["rate"] == line["rate"])


def test_rates_reach_the_stages_and_leave_the_prior_alone(ground: Ground) -> None:
    way = identity_ways(staged(), ground.dataset.catalog, asked())[0][0]
    own, before = way.attempt(7, 4), staged()
    assert own.training.learning_rate == 4 * before.training.learning_rate and own.training.seed == 7
    assert own.training.encoder_learning_rate == 4 * before.training.encoder_learning_rate
    assert own.training.prior_learning_rate == before.training.prior_learning_rate
    assert own.stages[0].training == {"epochs": 1, "learning_rate": 0.04}


def test_p_values_are_corrected_for_the_lines_and_the_pairs_besides_for_themselves(ground: Ground) -> None:
    against = [line.against for line in ground.study.lines[1:]]
    assert all(own is not None and own.tests == 4 and own.second == "content" for own in against)
    in_order = sorted((own for own in against if own), key=lambda own: own.p_value)
    by_hand = np.maximum.accumulate([min(1.0, own.p_value * (4 - place)) for place, own in enumerate(in_order)])
    assert [own.corrected for own in in_order] == pytest.approx(list(by_hand))
    named = [(own.first, own.second, own.tests) for own in ground.study.besides]
    assert named == [("ids", "ids without counts", 2), ("ids without counts", "content without counts", 2)]


def test_the_tables_have_counts_beside_no_counts(ground: Ground) -> None:
    table = (ground.folder / "study.md").read_text()
    one, other = (ground.line(name).metrics["NDCG@10"] for name in ("identity", "identity-no-counts"))
    assert (
        f"| ids | {one} | {other} |" in table
        and f"| content with ids | {ground.line('both').metrics['NDCG@10']} | - |" in table
    )
    assert "…" not in ground.text.rpartition("identity: ")[2] and (ground.folder / "study.png").stat().st_size > 10_000
    assert f"rates x {ground.line('identity').ranked.rate:g}" in " ".join(ground.text.split())


def test_one_more_line_costs_itself(ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, train = [], trained.train
    monkeypatch.setattr(trained, "train", lambda *given, **named: calls.append(given) or train(*given, **named))
    settings = asked(lines="identity", rates="1")
    study_identity(ground.dataset, training(1, prior="none"), settings, tmp_path, console=Told())
    assert len(calls) == 2
    usual = IdentityStudySettings.from_mapping({**QUICK, "permutations": 1000})
    study = study_identity(ground.dataset, training(1, prior="none"), usual, tmp_path, console=Told())
    assert len(calls) == 3 and [line.ranked.way.name for line in study.lines] == ["content", "identity", "both"]
    assert list(study.left_out) == ["content-no-counts", "identity-no-counts"]
    assert "with counts" not in (tmp_path / "study.md").read_text()


def test_counts_that_the_file_does_not_have_cannot_be_left_out(ground: Ground, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no prior over counts, so identity-no-counts would be") as told:
        study_identity(ground.dataset, training(prior="none"), asked(lines="identity-no-counts"), tmp_path, console=Told())
    assert told.value.where == "model.prior" and not list(tmp_path.iterdir())
