"""Ranks made up by hand, so that what has to be found is known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparing_ground import Ground, asked, make_ground
from told import Told

from transrec.data.overlap.overlap import Overlap, Shared
from transrec.errors import EvaluationError
from transrec.evaluation.ranks import RankedTargets
from transrec.recipes.comparing.bench import Bench
from transrec.recipes.comparing.cost import Cost
from transrec.recipes.comparing.figure import figure_of, titled
from transrec.recipes.comparing.findings import Findings, found_by
from transrec.recipes.comparing.going_on import best_model, where_it_is
from transrec.recipes.comparing.jobs import Job
from transrec.recipes.comparing.overlaps import Checked
from transrec.recipes.comparing.report import Comparison, how_measured, result_table, told_of_ids
from transrec.recipes.comparing.results import rows_of
from transrec.recipes.comparing.rows import possible_rows
from transrec.recipes.comparing.settings import CompareSettings
from transrec.recipes.comparing.shares import share_table, shares_json, shares_of
from transrec.recipes.comparing.variants import SimpleMethod, ZeroShot
from transrec.recipes.comparing.work import Finished

TARGETS = 80


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    ground: Ground = make_ground(tmp_path_factory.mktemp("ground"))
    return ground.bench()


class Made:
    """Finished jobs with hits at rank 1 for so many of the users, the first ones or, with a seed, any of them."""

    def __init__(self, bench: Bench, **given: Any) -> None:
        self.bench = bench
        self.settings: CompareSettings = asked(metric="HR@10", **given)
        self.rows = {row.name: row for row in possible_rows(self.settings, bench)[0]}

    def job(
        self,
        row: str,
        hits: int | Sequence[int],
        *,
        fraction: float = 1.0,
        seed: int = 0,
        rate: float = 1.0,
        valid: float = 0.5,
    ) -> Finished:
        made = self.rows[row].made
        ranks = np.full(TARGETS, 40.0)
        ranks[np.arange(hits) if isinstance(hits, int) else np.asarray(hits)] = 1.0
        split = self.bench.whole
        ranked = RankedTargets(
            users=split.interactions.users.gather(split.test.users),
            rows=split.interactions.rows[split.test.positions],
            ranks=ranks,
            history_lengths=split.test.positions - split.interactions.offsets[split.test.users],
            num_items=50,
        )
        return Finished(
            job=Job(self.rows[row], fraction, seed, rate),
            folder=Path(row),
            ranked=ranked,
            validation=None if isinstance(made, ZeroShot) else valid,
            cost=None if isinstance(made, ZeroShot) else Cost(2.0, 1 << 30, "made up"),
            method="EASE" if row == "ease" else "item-kNN" if isinstance(made, SimpleMethod) else "",
        )

    def found(self, finished: Sequence[Finished], checks: Sequence[Checked] = ()) -> Findings:
        return found_by(finished, list(self.rows.values()), checks, self.settings, self.bench)


def known(bench: Bench, *, rows: Sequence[int] = (), users: Sequence[int] = (), evidence: bool = True) -> Checked:
    def shared(kind: str, members: Sequence[int]) -> Shared:
        return Shared(kind, np.asarray(members, dtype=np.int64), (), 50, 50, evidence)

    source = bench.record.data[0]
    return Checked(source, Overlap(source.name, shared("user ids", users), (shared("item ids", rows),)))


def test_seeds_are_averaged_for_each_user_and_their_spread_is_told(bench: Bench) -> None:
    made = Made(bench, rows="scratch,transferred")
    found = made.found(
        [*(made.job("scratch", hits, seed=s) for s, hits in enumerate((20, 24))), made.job("transferred", 20)]
    )
    scratch = found.table[0]
    assert scratch.by_seed["HR@10"] == (0.25, 0.3) and scratch.metrics["HR@10"].value == pytest.approx(0.275)
    assert scratch.spread("HR@10") == pytest.approx(np.std([0.25, 0.3], ddof=1))
    assert found.table[1].spread("HR@10") is None
    assert sorted(set(scratch.measured.mean_E)) == [0.0, 0.5, 1.0]
    assert scratch.seconds == 4.0 and scratch.memory == 1 << 30


def test_a_clear_gain_helps_and_a_clear_loss_is_negative_transfer(bench: Bench) -> None:
    made = Made(bench, rows="scratch,transferred")
    for ours, theirs, answer in (
        (40, 20, "helps"),
        (20, 40, "harms"),
        (21, 20, "higher"),
        (20, 21, "lower"),
        (20, 20, "equal"),
    ):
        found = made.found([made.job("scratch", theirs), made.job("transferred", ours)])
        assert found.verdict.answer == answer
        assert found.transfers[0].points.value == pytest.approx((ours - theirs) / TARGETS)


def test_every_row_is_held_against_the_best_of_the_others(bench: Bench) -> None:
    made = Made(bench, rows="ease,scratch,transferred")
    found = made.found([made.job("ease", 60), made.job("scratch", 30), made.job("transferred", 10)])
    assert [own.first for own in found.rivals] == ["from scratch", "transferred"]
    assert {own.second for own in found.rivals} == {"EASE"} and {own.tests for own in found.rivals} == {2}
    best, other = found.against_the_best("EASE"), found.against_the_best("transferred")
    assert (best.second, other.second) == ("from scratch", "EASE")
    assert best.points.value == pytest.approx(30 / TARGETS) and other.points.value == pytest.approx(-50 / TARGETS)
    assert found.verdict.winner == "EASE"


def test_rows_are_shown_in_the_order_asked_for(bench: Bench) -> None:
    made = Made(bench, rows="transferred,zero-shot,ease,scratch")
    names = ("scratch", "ease", "zero-shot", "transferred")
    assert [row.row.name for row in made.found([made.job(name, 9) for name in names]).table] == list(made.rows)


def test_the_rate_is_chosen_on_validation_not_on_the_test(bench: Bench) -> None:
    made = Made(bench, rows="scratch,transferred", rates="1,0.1")
    jobs = [
        made.job("scratch", 20),
        *(made.job("transferred", 60, rate=1.0, seed=s, valid=0.1 + 0.4 * s) for s in (0, 1)),
        *(made.job("transferred", 30, rate=0.1, seed=s, valid=0.35) for s in (0, 1)),
    ]
    moved = made.found(jobs).table[1]
    assert {own.job.rate for own in moved.finished} == {0.1} and moved.metrics["HR@10"].value == 30 / TARGETS
    assert moved.seconds == 8.0, "what was tried has been paid for"


def test_the_verdict_is_about_the_tuning_rule_that_validated_best(bench: Bench) -> None:
    made = Made(bench, rows="scratch,transferred", tune="full,frozen")
    found = made.found(
        [
            made.job("scratch", 20),
            made.job("transferred-full", 60, valid=0.3),
            made.job("transferred-frozen", 20, valid=0.4),
        ]
    )
    assert found.verdict.answer == "equal" and "transferred (frozen)" in found.verdict.sentence
    assert [own.tests for own in found.transfers] == [2, 2], "both were tested"


def test_the_curve_and_the_table(bench: Bench) -> None:
    made = Made(bench, rows="ease,scratch,zero-shot,transferred", fractions="0.1,1")
    jobs = [made.job(name, 20) for name in made.rows]
    jobs += [
        made.job("ease", 3, fraction=0.1),
        made.job("scratch", 5, fraction=0.1),
        made.job("transferred", 40, fraction=0.1),
    ]
    found = made.found(jobs)
    assert [row.row.name for row in found.table] == list(made.rows) and {row.fraction for row in found.table} == {1.0}
    assert sorted(row.users for row in found.curve) == [0, 50, 50, 50, 80, 80, 80]
    [(users, few)] = found.fewer
    assert users == 50 and few.points.value == pytest.approx(35 / TARGETS)
    assert found.verdict.answer == "equal" and "pre-training helps with 50 users" in found.verdict.sentence
    assert made.found(jobs[:4]).curve == ()


def test_every_share_is_told_with_the_best_simple_method_there(bench: Bench) -> None:
    made = Made(bench, rows="popularity,ease,scratch,zero-shot,transferred", fractions="0.1,0.7,1", tune="full,frozen")
    hits = {"popularity": (2, 30, 9), "ease": (3, 20, 40), "scratch": (40, 20, 21), "transferred-full": (10, 20, 24)}
    hits["transferred-frozen"] = (80, 80, 3)
    jobs = [
        made.job(name, own, fraction=fraction, valid=0.1 if name == "transferred-frozen" else 0.5)
        for name, all_of_it in hits.items()
        for fraction, own in zip((0.1, 0.7, 1.0), all_of_it, strict=True)
    ]
    found = made.found([*jobs, made.job("zero-shot", 20)])
    shares = shares_of(found, "HR@10")
    assert [share.users for share in shares] == [50, 56, 80]
    assert {share.moved.label for share in shares} == {"transferred (full)"}, "the one that validated best"
    assert [share.simple.row.name for share in shares] == ["ease", "popularity", "ease"]
    assert [80 * share.gain.points.value for share in shares] == pytest.approx([-30, 0, 3])
    assert [share.gain.tests for share in shares] == [4, 4, 2]
    told = Told()
    told.print(share_table(found, made.settings))
    assert [line.split()[0] for line in told.text.splitlines() if re.match(r" *(50|56|80|Warning) ", line)] == [
        *("50", "Warning", "56", "80")
    ]
    assert "…" not in told.text and "-.3750" in told.text and "Warning: negative transfer" in told.text
    first, *others = shares_json(found, made.settings)
    assert (first["users"], first["shown"], first["best_simple"]["label"]) == (50, "below", "EASE")
    assert first["gain"]["points"]["value"] == pytest.approx(-30 / TARGETS)
    assert [own["shown"] for own in others] == ["undecided", "undecided"]


def test_every_share_chooses_its_own_tuning_rule(bench: Bench) -> None:
    made = Made(bench, rows="scratch,transferred", fractions="0.1,1", tune="full,frozen")
    validated = {("transferred-full", 0.1): 0.2, ("transferred-frozen", 0.1): 0.3, ("transferred-frozen", 1.0): 0.4}
    hits = {"scratch": 20, "transferred-full": 25, "transferred-frozen": 60}
    jobs = [
        made.job(name, own, fraction=share, valid=validated.get((name, share), 0.5))
        for share in (0.1, 1.0)
        for name, own in hits.items()
    ]
    found = made.found(jobs)
    assert found.evidence.transfer and found.evidence.transfer.first == "transferred (full)"
    assert {users: own.first for users, own in found.evidence.fewer.items()} == {50: "transferred (frozen)"}
    assert "pre-training helps with 50 users" in found.verdict.sentence
    shares = [share["transferred"]["label"] for share in shares_json(found, made.settings)]
    assert shares == ["transferred (frozen)", "transferred (full)"]
    told = Told()
    told.print(share_table(found, made.settings))
    text = " ".join(told.text.split())
    assert "With fewer users: transferred against from scratch" in text
    assert "at each share: 50 users: transferred (frozen); 80 users: transferred (full)" in text
    level = made.found([replace(job, validation=0.5) for job in jobs]).evidence
    assert level.fewer[50].first == level.transfer.first == "transferred (full)", "of equal ones the first"


def test_the_transfer_with_ids_is_held_against_the_one_from_scratch_with_ids(bench: Bench) -> None:
    made = Made(bench, rows="scratch,plus-identity,transferred,transferred-identity")
    hits = {"scratch": 20, "plus-identity": 30, "transferred": 20, "transferred-identity": 50}
    found = made.found([made.job(name, own) for name, own in hits.items()])
    assert found.with_ids and (found.with_ids.first, found.with_ids.second) == (
        "transferred with ids",
        "from scratch with ids",
    )
    assert found.with_ids.points.value == pytest.approx(20 / TARGETS)
    assert found.with_ids.tests == 1 and [own.tests for own in found.transfers] == [1], "families of their own"
    comparison = Comparison(bench, made.settings, (), found, {})
    assert told_of_ids(comparison).startswith(
        "transferred with ids less from scratch with ids: better (HR@10 0.6250 against"
    )
    told = comparison.to_json()["transferred_with_ids_against_scratch_with_ids"]
    assert told["points"]["value"] == pytest.approx(20 / TARGETS)
    without = made.found([made.job(name, hits[name]) for name in ("scratch", "transferred", "transferred-identity")])
    assert without.with_ids is None and told_of_ids(Comparison(bench, made.settings, (), without, {})) == ""


def test_harm_with_few_users_is_warned_of_in_the_sentence_and_on_the_figure(bench: Bench) -> None:
    made = Made(bench, rows="scratch,transferred", fractions="0.1,1")
    hits = {"scratch": 40, "transferred": 10}
    jobs = [made.job(name, 20) for name in made.rows] + [made.job(name, hits[name], fraction=0.1) for name in made.rows]
    found = made.found(jobs)
    assert found.verdict.answer == "equal" and "Warning, negative transfer with fewer users" in found.verdict.sentence
    title = titled(Comparison(bench, made.settings, (), found, {}))
    assert title.endswith("no difference shown between transfer and training from scratch;\nnegative transfer with 50 users")


def test_the_curve_draws_rows_with_ids_too(bench: Bench) -> None:
    made = Made(bench, rows="ease,scratch,plus-identity,zero-shot,transferred,transferred-identity", fractions="0.1,1")
    trained = [name for name in made.rows if name != "zero-shot"]
    jobs = [made.job(name, 20, fraction=share) for name in trained for share in (0.1, 1.0)] + [made.job("zero-shot", 5)]
    figure = figure_of(Comparison(bench, made.settings, (), made.found(jobs), {}))
    drawn = {line.get_label(): line.get_linestyle() for line in figure.axes[1].get_lines()}
    assert set(drawn) == {row.label for row in made.rows.values()}
    assert drawn["from scratch"] == "-" != drawn["from scratch with ids"]
    assert drawn["transferred"] != drawn["transferred with ids"]


def test_one_share_has_no_table_of_shares(bench: Bench) -> None:
    made = Made(bench, rows="scratch,transferred")
    found = made.found([made.job("scratch", 20), made.job("transferred", 20)])
    assert shares_json(found, made.settings) == [] and share_table(found, made.settings) is None


def test_a_table_of_a_part_of_the_users_alone(bench: Bench) -> None:
    made = Made(bench, rows="scratch,zero-shot,transferred", fractions="0.1")
    jobs = [made.job("zero-shot", 5), *(made.job(name, 20, fraction=0.1) for name in ("scratch", "transferred"))]
    found = made.found(jobs)
    assert [row.users for row in found.table] == [50, 0, 50] and found.curve == ()
    assert found.verdict.answer == "equal"
    assert "on small with 50 of 80 users to learn from, which are level" in found.verdict.sentence
    assert titled(Comparison(bench, made.settings, (), found, {})).endswith("\nwith 50 of 80 users to learn from")


def test_where_all_users_learn_no_number_is_told(bench: Bench) -> None:
    made = Made(bench, rows="scratch,transferred", fractions="0.1,1")
    found = made.found([made.job(name, 20, fraction=share) for name in made.rows for share in (0.1, 1.0)])
    assert found.evidence.learned is None and "on small, which are level" in found.verdict.sentence
    assert "users to learn from" not in titled(Comparison(bench, made.settings, (), found, {}))


def test_without_both_rows_the_question_is_not_asked(bench: Bench) -> None:
    made = Made(bench, rows="ease,transferred")
    found = made.found([made.job("ease", 20), made.job("transferred", 40)])
    assert found.verdict.answer == "not asked" and found.transfers == ()


def test_overlap_is_minded_or_removed(bench: Bench) -> None:
    split = bench.whole
    rows = split.interactions.rows[split.test.positions]
    item = int(rows[0])
    checks = [known(bench, rows=[item], users=[7])]
    expected = (rows == item) | (split.test.users == 7)
    made = Made(bench, rows="scratch,transferred")
    jobs = [made.job("scratch", 20), made.job("transferred", 20)]
    minded = made.found(jobs, checks)
    assert (minded.targets, minded.known) == (80, expected.sum())
    assert f"mind the overlap: {expected.sum()} of 80 test targets" in minded.verdict.sentence
    removing = Made(bench, rows="scratch,transferred", remove_overlap=True)
    removed = removing.found(jobs, checks)
    assert removed.targets == 80 - expected.sum() and "mind the overlap" not in removed.verdict.sentence
    hits = np.zeros(80)
    hits[:20] = 1
    assert removed.table[0].metrics["HR@10"].value == pytest.approx(hits[~expected].mean())


def test_what_proves_nothing_removes_nothing(bench: Bench) -> None:
    made = Made(bench, rows="scratch", remove_overlap=True)
    assert made.found([made.job("scratch", 20)], [known(bench, rows=range(50), users=range(80), evidence=False)]).known == 0


def test_an_overlap_of_everything_is_an_error(bench: Bench) -> None:
    made = Made(bench, rows="scratch", remove_overlap=True)
    with pytest.raises(EvaluationError, match="all 80 test targets"):
        made.found([made.job("scratch", 20)], [known(bench, users=range(80))])


def test_what_was_not_compared_or_by_samples_alone_is_minded(bench: Bench) -> None:
    made = Made(bench, rows="scratch,transferred")
    jobs = [made.job("scratch", 20), made.job("transferred", 20)]
    source = bench.record.data[0]
    assert "not known" not in made.found(jobs, [known(bench)]).verdict.sentence
    absent = made.found(jobs, [Checked(source, None, "it is no longer where it was")])
    assert "whether the test repeats small, which the run has learned from, is not known" in absent.verdict.sentence
    near = Shared("near-duplicate texts", np.zeros(0, dtype=np.int64), (), 50, 50, against=(10, 20))
    users = Shared("user ids", np.zeros(0, dtype=np.int64), (), 50, 50)
    sampled = made.found(jobs, [Checked(source, Overlap("small", users, (near,)))])
    assert "(near-duplicate texts were looked for in samples alone" in sampled.verdict.sentence
    changed = made.found(jobs, [Checked(source, Overlap("small", users, ()), "has changed since")])
    assert "small has changed since the run learned from it" in changed.verdict.sentence


def test_few_targets_are_minded(bench: Bench) -> None:
    made = Made(bench, rows="scratch,transferred")
    assert "only 80 test targets" in made.found([made.job("scratch", 9), made.job("transferred", 9)]).verdict.sentence


def test_slices_count_the_training_of_all_users_and_say_so(bench: Bench) -> None:
    made = Made(bench, rows="scratch", fractions="0.1,1")
    found = made.found([made.job("scratch", 20), made.job("scratch", 20, fraction=0.1)])
    [row], [few] = found.table, [row for row in found.curve if row.fraction < 1]
    groups = {part.group for part in row.slices}
    assert {"content", "training events of all users", "history length"} == groups
    sizes = [[(part.label, part.targets) for part in own.slices] for own in (row, few)]
    assert sizes[0] == sizes[1], "the same targets at every share"
    comparison = Comparison(bench, made.settings, (), found, {})
    told = Told()
    told.print(result_table(comparison))
    assert "training events of all users touch" in " ".join(told.text.split())
    assert "the same ones at every share" in " ".join(how_measured(comparison))
    assert sum(part.targets for part in row.slices if part.group == "history length") == 80
    counts = bench.whole.train_counts(50)[bench.whole.interactions.rows[bench.whole.test.positions]]
    tail = row.slice("0-4 (tail)")
    assert (tail.targets if tail else 0) == (counts <= 4).sum() and row.slice("nothing of the kind") is None


def test_two_simple_methods_that_are_the_same_have_two_labels(bench: Bench) -> None:
    made = Made(bench, rows="ease,knn")
    ease = replace(made.job("ease", 9), method="item-kNN")
    found = rows_of([ease, made.job("knn", 9)], np.ones(80, dtype=bool), made.settings, bench)
    assert [row.label for row in found] == ["item-kNN (ease)", "item-kNN (knn)"]


def test_jobs_that_ranked_other_targets_are_an_error(bench: Bench) -> None:
    made = Made(bench, rows="scratch,transferred")
    other = made.job("transferred", 20)
    other = replace(other, ranked=replace(other.ranked, rows=other.ranked.rows[::-1].copy()))
    with pytest.raises(EvaluationError, match="have ranked different targets"):
        made.found([made.job("scratch", 20), other])


@pytest.mark.parametrize(
    ("hits", "validated", "expected", "told"),
    [
        ({"scratch": 40, "transferred": 41}, (0.4, 0.3), "scratch", "that may be the best, the one that validated best"),
        ({"scratch": 20, "transferred": 60}, (0.4, 0.3), "transferred", "of the models that may be the best"),
        ({"ease": 80, "scratch": 20, "transferred": 30}, (0.4, 0.3), "scratch", "no model may be the best; of all"),
        ({"zero-shot": 70, "scratch": 10, "transferred": 10}, (0.4, 0.3), "zero-shot", "there is only zero-shot"),
        ({"zero-shot": 40, "scratch": 40, "transferred": 38}, (0.3, 0.4), "transferred", "the one that validated best"),
        ({"popularity": 5, "ease": 9}, (), None, ""),
    ],
)
def test_the_model_to_take_is_not_chosen_by_chance_on_the_test(
    bench: Bench, hits: dict[str, int], validated: tuple[float, ...], expected: str | None, told: str
) -> None:
    made = Made(bench, rows=",".join(hits))
    valid = dict(zip(("scratch", "transferred"), validated, strict=False))
    found = made.found([made.job(name, own, valid=valid.get(name, 0.5)) for name, own in hits.items()])
    comparison = Comparison(bench, made.settings, (), found, {})
    best = best_model(comparison)
    assert (best.row.name if best else None) == expected
    assert told in where_it_is(comparison) and bool(where_it_is(comparison)) == bool(expected)
