"""Encoders that are no longer where the run read them from."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from comparing_ground import asked, text_run
from told import Told

from transrec.errors import BackboneError, SettingsError
from transrec.items.scratch import new_text_backbone
from transrec.recipes.compare import compare
from transrec.recipes.comparing.bench import Bench
from transrec.recipes.comparing.jobs import jobs_of, key_of, settings_of
from transrec.recipes.comparing.rows import possible_rows
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.studies.settings import FractionsSettings, KindsSettings

ROWS = "similarity,frozen,scratch,transferred"


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("texts")
    source, target, run = text_run(folder)
    moved = folder / "moved"
    shutil.move(folder / "text", moved)
    return SimpleNamespace(source=source, target=target, run=run, moved=moved)


def test_fresh_encoders_are_read_from_where_they_are_said_to_be(texts: SimpleNamespace, tmp_path: Path) -> None:
    settings = asked(rows=ROWS, seeds="0", backbones={"text": str(texts.moved)})
    found = compare(texts.run, texts.target, settings, tmp_path, console=Told())
    assert not found.left_out and [row.row.name for row in found.findings.table] == ROWS.split(",")


def test_they_are_part_of_what_decides_an_outcome(texts: SimpleNamespace, tmp_path: Path) -> None:
    other = shutil.copytree(texts.moved, tmp_path / "other")
    (other / "more.txt").write_text("another file")
    keys = {}
    for place in (texts.moved, other):
        settings = asked(rows=ROWS, seeds="0", backbones={"text": str(place)})
        bench = Bench.open(texts.run, texts.target, settings)
        jobs = jobs_of(possible_rows(settings, bench)[0], settings, bench)
        keys[place] = {job.row.name: key_of(job, settings, bench) for job in jobs}
        for job in jobs:
            fitted = settings_of(job, settings, bench)
            if isinstance(fitted, TrainSettings):
                assert fitted.model.items.text.backbone == str(place)
                assert fitted.model.items.width == 16, "the rest of the model is the run's"
    changed = [name for name in ROWS.split(",") if keys[texts.moved][name] != keys[other][name]]
    assert changed == ["similarity", "frozen", "scratch"], "a transfer reads no fresh encoder"
    digests = [keys[place][name]["backbones"]["text"] for place in keys for name in ("similarity", "scratch")]
    assert digests[0] == digests[1] != digests[2] == digests[3]


def test_an_encoder_of_another_form_is_refused(texts: SimpleNamespace, tmp_path: Path) -> None:
    wider = tmp_path / "wider"
    new_text_backbone(texts.source.catalog.column("text").to_list(), wider, width=32, layers=1, heads=2)
    for rows in ("scratch,transferred", "similarity"):
        settings = asked(rows=rows, seeds="0", backbones={"text": str(wider)})
        with pytest.raises(BackboneError, match="of another form than the run's"):
            compare(texts.run, texts.target, settings, tmp_path / "out", console=Told())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"image": "anything"}, "no built-in image encoder: it reads no image"),
        ({"custom_options": {"image": {"weights": "file"}}}, "without the option 'weights' of 'image'"),
    ],
)
def test_what_the_run_does_not_have_cannot_be_elsewhere(texts: SimpleNamespace, given: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        Bench.open(texts.run, texts.target, asked(backbones=given))


def test_nothing_but_the_place_can_be_given() -> None:
    with pytest.raises(SettingsError, match=r"backbones\.width: there is no such setting"):
        asked(backbones={"width": 8})


def test_studies_hand_it_on() -> None:
    for kind in (KindsSettings, FractionsSettings):
        asked_of = kind.from_mapping({"backbones": {"text": "folder"}}).of_compare()
        assert asked_of.backbones.text == "folder" and not kind().of_compare().backbones
