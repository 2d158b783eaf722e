from __future__ import annotations

import io
import json
from dataclasses import replace

from cases import platform
from rich.console import Console
from rich.table import Table

from transrec.data.splits import leave_one_out
from transrec.evaluation.baselines.markov import Markov
from transrec.evaluation.baselines.popularity import Popularity
from transrec.evaluation.protocol import EvaluationSettings, compare, evaluate
from transrec.evaluation.table import document, result_table, shown_metrics, slice_table

DATASET = platform(users=60)
SPLIT = leave_one_out(DATASET.interactions)
MARKOV = evaluate(Markov.fit(SPLIT, 50, power=0.25), SPLIT, DATASET.catalog, name="Markov chain [w]")
POPULARITY = evaluate(Popularity.fit(SPLIT, 50), SPLIT, DATASET.catalog, name="popularity")


def text_of(table: Table) -> str:
    console = Console(width=150, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def test_the_table_shows_intervals_choices_and_gain() -> None:
    text = text_of(result_table([MARKOV, POPULARITY], title="small"))
    for name in ("HR@10", "NDCG@10", "HR@50"):
        assert name in text
        assert str(MARKOV.overall.metrics[name]) in text
    for part in ("small: 60 targets", "all 50 items", "leave-one-out", "the user's history", "95% intervals"):
        assert part in text
    assert "Markov chain [w] (window 1, power 0.25, voters 1, fade 0)" in text
    assert f"{compare(MARKOV, POPULARITY).gain.value:+.4f}" in text


def test_one_ranker_needs_no_comparison() -> None:
    assert "paired" not in text_of(result_table([POPULARITY], title="small"))


def test_near_ties_are_told_where_there_are_any() -> None:
    assert "rounding" not in text_of(result_table([MARKOV, POPULARITY], title="small"))
    near = replace(MARKOV, ranked=replace(MARKOV.ranked, near_ties=7))
    assert "7 of 60 targets had another item within rounding" in text_of(result_table([near], title="small"))
    assert near.to_json()["near_ties"] == 7


def test_slices_mark_what_is_small() -> None:
    text = text_of(slice_table([MARKOV, POPULARITY]))
    small = next(part for part in MARKOV.slices if part.small)
    assert f"{small.targets}*" in text
    assert "fewer than 100 targets" in text
    assert all(part.label in text for part in MARKOV.slices)


def test_other_cutoffs_show_the_nearest() -> None:
    assert shown_metrics(EvaluationSettings(cutoffs=(3, 8))) == ("HR@8", "NDCG@8")
    assert shown_metrics(EvaluationSettings()) == ("HR@10", "NDCG@10", "HR@50")


def test_the_document_has_a_version_and_paired_gains() -> None:
    read = json.loads(json.dumps(document([MARKOV, POPULARITY]), allow_nan=False))
    assert read["format"] == 1
    assert [result["ranker"] for result in read["evaluations"]] == ["Markov chain [w]", "popularity"]
    assert read["paired"][0]["second"] == "popularity"
    assert set(read["paired"][0]["gain"]) == {"value", "low", "high"}
