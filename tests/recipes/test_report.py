"""A report of small runs: what is in it, that nothing in it can act, and that what is missing is said."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from comparing_ground import QUIET, trained
from drawn import drawn

from transrec.cli import app
from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.data.interactions import Interactions
from transrec.errors import DataError, MissingExtraError, RunError
from transrec.evaluation.protocol import EvaluationSettings
from transrec.recipes.evaluate import evaluate
from transrec.recipes.report import report
from transrec.recipes.reporting.settings import ReportSettings

EVIL = "<script>alert('title')</script> & \"co\""


class Read(HTMLParser):
    """The tags of a page with their attributes, its visible text, and the text of its scripts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._text: list[str] = []
        self._inside = ""
        self.feed(self.html)
        self.text = " ".join(" ".join(self._text).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append(data)
        elif self._inside != "style":
            self._text.append(data)

    def values(self, name: str) -> list[str]:
        """The values of an attribute, in order."""
        return [attributes[name] or "" for _, attributes in self.tags if name in attributes]


def shop(seed: int = 0) -> Dataset:
    """Items with given vectors and pictures, the titles of which hold markup."""
    generator = np.random.default_rng(seed)
    items = [Item(id=f"i{n}", image=drawn(n), vectors={"given": generator.normal(size=8)}) for n in range(40)]
    catalog = Catalog.from_items(items, {"title": [f"{EVIL} {n}" for n in range(40)], "kind": ["<b>ash</b>", "elm"] * 20})
    rows = [generator.permutation(40)[:7] for _ in range(30)]
    table = {"user": np.repeat([f"u{n}" for n in range(30)], 7), "row": np.concatenate(rows), "time": np.arange(210.0)}
    return Dataset(catalog, Interactions.from_columns(pl.DataFrame(table)), name="shop <i>one</i>")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ground")
    data = shop().save(folder / "data")
    model = {"items": {"width": 16, "modalities": ["given"]}}
    trained(folder / "run", data, model=model)
    trained(folder / "other", data, model=model, training={"epochs": 1, "batch_size": 16, "device": "cpu", "seed": 3})
    return folder


@pytest.fixture
def run(ground: Path, tmp_path: Path) -> Path:
    shutil.copytree(ground / "run", tmp_path / "run")
    return tmp_path / "run"


def of(*runs: Path, out: Path | None = None, **given: object) -> Read:
    settings = ReportSettings.from_mapping({"users": 4, **given})
    return Read(report(list(runs), settings, out, device="cpu", console=QUIET))


def evaluated(run: Path) -> None:
    evaluate(run, settings=EvaluationSettings(resamples=100), baselines=("popularity",), device="cpu", console=QUIET)


def test_it_holds_every_part_and_says_what_is_missing(run: Path) -> None:
    page = of(run)
    assert page.html.startswith("<!doctype html>")
    assert {"run1-data", "run1-training", "run1-test", "run1-map", "run1-people", "environment"} <= set(page.values("id"))
    assert "best validation NDCG@10" in page.text and "30" in page.text
    assert sum("map" in (a.get("class") or "") for tag, a in page.tags if tag == "svg") == 1
    assert sum(tag == "circle" for tag, _ in page.tags) >= 40
    assert page.html.count('class="person"') == 4
    assert "the validation target: the test split is still sealed" in page.text
    assert f"transrec evaluate {run}" in page.text and f"transrec compare {run} --data TARGET" in page.text
    assert "prior" in page.text or "users" in page.text


def test_pictures_are_inside_and_nothing_is_outside(run: Path) -> None:
    page = of(run)
    sources = page.values("src")
    assert sources and all(source.startswith("data:image/") for source in sources)
    assert all(link.startswith("#") for link in (*page.values("href"), *page.values("xlink:href")))
    assert not re.search(r"url\((?!#)|@import|https?://", page.html)
    assert not {"link", "iframe", "object", "embed"} & {tag for tag, _ in page.tags}
    assert len(page.html) < 1_500_000


def test_markup_in_titles_and_columns_is_text(run: Path) -> None:
    page = of(run, colour_by="kind")
    assert len(page.scripts) == 1 and "alert" not in page.scripts[0]
    assert "<script>alert" not in page.html and EVIL in page.text
    assert "<b>ash</b>" not in page.html and "<b>ash</b>" in page.text and "<i>one" not in page.html


def test_ids_are_unique_and_references_are_there(ground: Path) -> None:
    page = of(ground / "run", ground / "other", out=ground / "two.html")
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", page.html)) <= set(ids)
    assert {link[1:] for link in (*page.values("href"), *page.values("xlink:href"))} <= set(ids)
    assert "var(--ink)" in page.html and "#010203" not in page.html


def test_the_test_target_is_shown_only_after_evaluate(run: Path) -> None:
    evaluated(run)
    page = of(run)
    assert "What they took next is the test target." in page.text
    assert "popularity" in page.text and "test NDCG@10" in page.text and "The test split was opened 1 time," in page.text


def test_several_runs_stand_side_by_side(ground: Path, run: Path, tmp_path: Path) -> None:
    shutil.copytree(ground / "other", tmp_path / "other")
    assert "No two of these runs have been evaluated on the same dataset." in of(run, tmp_path / "other").text
    for own in (run, tmp_path / "other"):
        evaluated(own)
    page = of(run, tmp_path / "other")
    assert "NDCG@10 of other minus that of run, paired by user:" in page.text and "side" in page.values("id")
    assert {"run1", "run2"} <= set(page.values("id"))


def test_a_verdict_is_told(run: Path) -> None:
    folder = run / "compare" / "there"
    folder.mkdir(parents=True)
    numbers = {"value": 0.2, "low": 0.1, "high": 0.3}
    metrics = {"NDCG@10": numbers, "HR@10": numbers}
    document = {
        **{"metric": "NDCG@10", "leaders": ["moved"], "dataset": {"name": "there"}, "transfer": "helps", "measured": ["m"]},
        **{"sentence": "It helps & <how>.", "rows": [{"label": "moved", "metrics": metrics}]},
    }
    (folder / "compare.json").write_text(json.dumps(document))
    page = of(run)
    assert "It helps & <how>." in page.text and "With so many users to learn from" not in page.text
    assert "less the best other row" in page.text, "a file of an earlier version has no such numbers"
    points = {"value": -0.1, "low": -0.2, "high": -0.05}
    gain = {"points": points, "percent": {**points, "value": -33.4}, "corrected": 0.0004}
    sides = {"from_scratch": {"label": "anew", "NDCG@10": {**numbers, "value": 0.25}}}
    sides |= {name: {"label": name, "NDCG@10": numbers} for name in ("transferred", "best_simple")}
    few = {"users": 50, "shown": "below", "gain": gain, **sides}
    many = {"users": 1200, "shown": "above", "gain": {**gain, "corrected": 0.04}, **sides, "best_simple": None}
    (folder / "compare.json").write_text(json.dumps({**document, "by_share": [few, many]}))
    told = of(run).text
    assert "50 (Warning: negative transfer) 0.2500 [0.1000, 0.3000] 0.2000 [0.1000, 0.3000]" in told
    assert "-0.1000 [-0.2000, -0.0500] -33 % < 0.001 best_simple 0.2000 1,200 0.2500" in told
    shared = {"kind": "identical texts", "count": 3, "compared": 50, "present": 60, "note": "a note"}
    nothing = {**shared, "count": 0}
    source = {"source": "films", "note": "", "checked": True}
    ids = {**gain, "first": "moved with ids", "second": "anew with ids"}
    besides = {
        "overlap": [
            {**source, "shared": [shared, nothing]},
            {**source, "source": "books", "shared": [nothing]},
            {**source, "source": "shoes", "note": "could not be compared", "checked": False, "shared": []},
        ],
        "targets_known_to_the_source": 7,
        "targets_removed": 7,
        "left_out": {"frozen": "nothing could learn"},
        "take": {"row": "moved", "told": "there is only moved", "job": None, "weights_kept": True},
        "against_the_highest": [],
        "transferred_against_scratch": [gain, gain],
        "transferred_with_ids_against_scratch_with_ids": ids,
        "settings": {"permutations": 10_000},
    }
    other = {**sides, "transferred": {"label": "moved (full)", "NDCG@10": numbers}}
    shares = [few, {**many, **other, "best_simple": None}]
    memory = {"memory_bytes": 3 << 29, "jobs": [{"cost": {"memory_of": "allocated on the device"}}]}
    rows = [{**document["rows"][0], **memory}]
    (folder / "compare.json").write_text(json.dumps({**document, **besides, "rows": rows, "by_share": shares}))
    told = of(run).text
    for part in (
        *("Which model to take: there is only moved; it is this run itself.", "1.5 GiB", "(allocated on the device)"),
        *("frozen: nothing could learn", "shoes: could not be compared", "nothing in common with books"),
        "in common with films: 3 identical texts (of 50 compared, 60 there are); a note",
        "7 test targets known to a source, by the item or the user; they were left out of the test",
        "p: paired randomisation test over users, 10,000 relabellings (less from scratch: 2 tests, Holm-corrected)",
        "moved with ids less anew with ids: -0.1000 [-0.2000, -0.0500], -33 %, p < 0.001",
        *("0.2000 [0.1000, 0.3000], transferred", "0.2000 [0.1000, 0.3000], moved (full)"),
    ):
        assert part in told, part
    (folder / "compare.json").write_text('{"unfinished": true, "test_opened": []}')
    assert "This comparison has not come to its end" in of(run).text


def test_a_run_without_its_dataset_is_shown_without(run: Path, ground: Path) -> None:
    settings = run / "settings.yaml"
    settings.write_text(settings.read_text().replace(str(ground / "data"), "/gone"))
    page = of(run)
    assert "is no longer at /gone" in page.text and f"transrec report {run} --data DATA" in page.text
    assert "best validation NDCG@10" in page.text and 'class="person"' not in page.html


def test_an_interrupted_run_is_shown_as_far_as_it_went(run: Path) -> None:
    (run / "README.md").unlink()
    log = run / "metrics.jsonl"
    log.write_text(log.read_text() + '{"kind": "train", "st')
    page = of(run)
    assert "has not come to its end" in page.text and "--resume" in page.text
    assert 'class="person"' not in page.html and 'class="missing"' in page.html
    log.unlink()
    assert "Nothing has been logged yet." in of(run).text


def test_what_is_no_run_or_no_column_is_an_error(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run folder"):
        of(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no column 'colour'"):
        of(run, colour_by="colour")
    assert not (run / "report.html").exists()


def test_without_jinja2_it_says_what_to_install(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match="needed for the report"):
        of(run)


def test_the_command_line(run: Path, tmp_path: Path) -> None:
    words = ["report", run, "--out", tmp_path / "r.html", "--colour-by", "kind", "--users", 2, "--device", "cpu"]
    app([str(word) for word in words], result_action="return_value")
    assert Read(tmp_path / "r.html").html.count('class="person"') == 2
