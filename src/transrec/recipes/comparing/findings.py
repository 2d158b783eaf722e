"""Findings: the rows held against each other, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transrec.data.reading.findings import counted
from transrec.errors import EvaluationError
from transrec.evaluation.contrasts import Contrast, contrast, one_family
from transrec.recipes.comparing.bench import Bench
from transrec.recipes.comparing.jobs import users_of
from transrec.recipes.comparing.overlaps import Checked, known_targets, unsure
from transrec.recipes.comparing.results import RowResult, rows_of
from transrec.recipes.comparing.sentence import Evidence, Verdict, judged
from transrec.recipes.comparing.settings import CompareSettings
from transrec.recipes.comparing.variants import MOVED_WITH_IDS, SCRATCH, WITH_IDS, Row, Transferred
from transrec.recipes.comparing.work import Finished


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """Everything that a comparison found.

    Attributes:
        table: the rows at the largest share of the users, in the order in which they were asked for.
        curve: the rows at every share; empty where there is one.
        targets: how many test targets are counted.
        known: how many test targets there are that the source knows, too.
        rivals: every row but the one with the highest mean, against that one.
        transfers: every transferred row against the one from scratch.
        fewer: the same at the smaller shares, each with the number of users.
        with_ids: the transferred row with ids against the one from scratch with ids; None where one of the two is not there.
        evidence: what the verdict rests on.
        mind: what has to be known with it; may be empty.
        verdict: what it comes to.
    """

    table: tuple[RowResult, ...]
    curve: tuple[RowResult, ...]
    targets: int
    known: int
    rivals: tuple[Contrast, ...]
    transfers: tuple[Contrast, ...]
    fewer: tuple[tuple[int, Contrast], ...]
    with_ids: Contrast | None
    evidence: Evidence
    mind: str
    verdict: Verdict

    def against_the_best(self, label: str) -> Contrast | None:
        """A row against the best of the others: the one with the highest mean, or for that one the second."""
        if not self.rivals:
            return None
        own = [found for found in self.rivals if found.first == label]
        return own[0] if own else max(self.rivals, key=lambda found: found.values[0]).reversed()

    def against_scratch(self, label: str) -> Contrast | None:
        """A transferred row against the one from scratch; None for every other row."""
        return next((found for found in self.transfers if found.first == label), None)


def found_by(
    finished: Sequence[Finished],
    rows: Sequence[Row],
    checks: Sequence[Checked],
    settings: CompareSettings,
    bench: Bench,
) -> Findings:
    """Bring finished jobs together.

    Args:
        finished: the jobs.
        rows: in the order of the table.
        checks: for what the target shares with the source.
        settings: of the comparison.
        bench: what all rows have in common.

    Raises:
        EvaluationError: no target is left, or the jobs have not ranked the same ones.
    """
    known_E = known_targets(checks, bench)
    counted_E = ~known_E if settings.remove_overlap else np.ones(len(known_E), dtype=bool)
    if not counted_E.any():
        raise EvaluationError(
            f"all {len(counted_E):,} test targets fall on items or users that the source knows, too",
            where=bench.dataset.name,
            remedy="compare without --remove-overlap, or with another target",
        )
    curve = rows_of(finished, counted_E, settings, bench)
    table = _at_the_largest_share(curve, rows)
    users_E = np.unique(finished[0].ranked.users.to_numpy()[counted_E], return_inverse=True)[1]

    def against(first: RowResult, second: RowResult) -> Contrast:
        return contrast(first.measured, second.measured, users_E, settings.evaluation, permutations=settings.permutations)

    best = max(table, key=lambda row: row.metrics[settings.metric].value)
    rivals = one_family([against(row, best) for row in table if row is not best])
    pairs = _moved_and_scratch(table)
    transfers = one_family([against(*pair) for pair in pairs])
    at_all_shares = _moved_and_scratch(curve)
    smaller = [pair for pair in at_all_shares if pair not in pairs]
    fewer = one_family([against(*pair) for pair in smaller])
    chosen = _validated_best([row for row, _ in at_all_shares])
    asked = chosen.get(max((row.users for row, _ in pairs), default=0))
    evidence = Evidence(
        target=bench.dataset.name,
        metric=settings.metric,
        transfer=next((found for found in transfers if found.first == asked), None),
        fewer={row.users: found for (row, _), found in zip(smaller, fewer, strict=True) if found.first == chosen[row.users]},
        rivals=rivals,
        learned=_learned(table, bench),
    )
    mind = _to_mind(int(known_E.sum()), len(known_E), int(counted_E.sum()), checks, settings)
    return Findings(
        table=tuple(table),
        curve=tuple(curve) if len({row.fraction for row in curve if row.users}) > 1 else (),
        targets=int(counted_E.sum()),
        known=int(known_E.sum()),
        rivals=tuple(rivals),
        transfers=tuple(transfers),
        fewer=tuple((row.users, found) for (row, _), found in zip(smaller, fewer, strict=True)),
        # a question of its own, asked once: whether the transfer helps where ids are there anyway. In the family of the
        # transfers it would make their p-values depend on whether rows with ids were asked for
        with_ids=next((against(*pair) for pair in _with_ids(table)), None),
        evidence=evidence,
        mind=mind,
        verdict=judged(evidence, alpha=settings.alpha, mind=mind),
    )


def _learned(table: Sequence[RowResult], bench: Bench) -> tuple[int, int] | None:
    """How many users the rows of the table learned from, and of how many; None where these are all."""
    users, everyone = max(row.users for row in table), users_of(1.0, bench)
    return (users, everyone) if 0 < users < everyone else None


def _moved_and_scratch(rows: Sequence[RowResult]) -> list[tuple[RowResult, RowResult]]:
    """Every transferred row with the one from scratch that learned from the same users."""
    scratch = {row.users: row for row in rows if row.row.name == SCRATCH}
    moved = [row for row in rows if isinstance(row.row.made, Transferred) and row.users in scratch]
    return [(row, scratch[row.users]) for row in moved]


def _with_ids(table: Sequence[RowResult]) -> list[tuple[RowResult, RowResult]]:
    """The transferred row with ids and the one from scratch with ids, where both are there."""
    own = {row.row.name: row for row in table}
    return [(own[MOVED_WITH_IDS], own[WITH_IDS])] if {MOVED_WITH_IDS, WITH_IDS} <= own.keys() else []


def _at_the_largest_share(curve: Sequence[RowResult], rows: Sequence[Row]) -> list[RowResult]:
    order = [row.name for row in rows]
    largest = max((row.fraction for row in curve if row.users), default=1.0)
    shown = [row for row in curve if row.fraction == largest or not row.users]
    return sorted(shown, key=lambda row: order.index(row.row.name))


def _validated_best(moved: Sequence[RowResult]) -> dict[int, str]:
    """By the number of users the label of the transferred row that the verdict is about: chosen on their validation targets.

    Who has few users has no others to choose by, and another tuning rule may suit them.
    """
    ordered = sorted(moved, key=lambda row: row.validation or 0.0, reverse=True)  # of equal ones the first stays first
    return {row.users: row.label for row in reversed(ordered)}


def _to_mind(known: int, all_targets: int, targets: int, checks: Sequence[Checked], settings: CompareSettings) -> str:
    """What has to be known with the sentence."""
    told = []
    if known and not settings.remove_overlap:
        told.append(
            f"mind the overlap: {known:,} of {all_targets:,} test targets are items or belong to users that the source "
            "knows, too; --remove-overlap leaves them out"
        )
    told += unsure(checks)
    if targets < settings.evaluation.small_slice:
        told.append(f"only {counted(targets, 'test target')}")
    return "; ".join(told)
