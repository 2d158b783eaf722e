"""Shares: from scratch and transferred side by side at every share of the users, and the best simple method there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from transrec.evaluation.contrasts import Contrast
from transrec.evaluation.intervals import Interval
from transrec.recipes.comparing.cells import short, short_p, two_lines
from transrec.recipes.comparing.findings import Findings
from transrec.recipes.comparing.results import RowResult
from transrec.recipes.comparing.settings import CompareSettings
from transrec.recipes.comparing.variants import SCRATCH, SimpleMethod


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """What a share of the users shows.

    Attributes:
        scratch: the row from scratch.
        moved: the transferred row that validated best with these users.
        gain: the second against the first.
        simple: the simple method with the highest mean; None where there is none.
    """

    scratch: RowResult
    moved: RowResult
    gain: Contrast
    simple: RowResult | None

    @property
    def users(self) -> int:
        """How many train and validate."""
        return self.moved.users


def shares_of(found: Findings, metric: str) -> list[Share]:
    """What each share shows, the fewest users first; empty without a curve or without one of the two rows."""
    evidence = found.evidence
    if evidence.transfer is None or not found.curve:
        return []
    gains = {**evidence.fewer, max(row.users for row in found.curve): evidence.transfer}
    rows = {(row.users, row.label): row for row in found.curve}
    scratch = {row.users: row for row in found.curve if row.row.name == SCRATCH}
    shares = []
    for users, gain in sorted(gains.items()):
        simple = [row for row in found.curve if row.users == users and isinstance(row.row.made, SimpleMethod)]
        best = max(simple, key=lambda row: row.metrics[metric].value, default=None)
        shares.append(Share(scratch[users], rows[users, gain.first], gain, best))
    return shares


def share_table(found: Findings, settings: CompareSettings) -> Table | None:
    """A row a share, two lines each; the caption says what the columns are. None where there is one share alone."""
    metric, shares = settings.metric, shares_of(found, settings.metric)
    if not shares:
        return None
    labels = {share.moved.label for share in shares}
    moved = labels.pop() if len(labels) == 1 else "transferred"
    title = f"With fewer users: {moved} against {shares[0].scratch.label}"
    caption = _caption(shares, settings)
    table = Table(
        box=box.SIMPLE_HEAD, title=title, title_justify="left", caption=caption, caption_justify="left", pad_edge=False
    )
    columns = ("users", "from scratch\ninterval", "transferred\ninterval", "difference\ninterval", "p\nin %")
    for name in (*columns, "best simple\nmethod"):
        table.add_column(name, justify="right", no_wrap=name.startswith(columns))
    for share in shares:
        points, percent = share.gain.points, share.gain.percent
        table.add_row(
            Text(f"{share.users:,}" + ("\nWarning" if share.gain.shown(settings.alpha) == "below" else "")),
            _with_interval(share.scratch.metrics[metric]),
            _with_interval(share.moved.metrics[metric]),
            two_lines(short(points.value, "+"), f"[{short(points.low, '+')},{short(points.high, '+')}]"),
            two_lines(short_p(share.gain), "" if math.isnan(percent.value) else f"{percent.value:+.0f} %"),
            _simple(share.simple, metric),
        )
    return table


def shares_json(found: Findings, settings: CompareSettings) -> list[Mapping[str, Any]]:
    """The same as values that JSON can hold."""
    metric = settings.metric

    def told(row: RowResult | None) -> Mapping[str, Any] | None:
        return {"label": row.label, metric: asdict(row.metrics[metric])} if row else None

    return [
        {
            "users": share.users,
            "from_scratch": told(share.scratch),
            "transferred": told(share.moved),
            "gain": asdict(share.gain),
            "shown": share.gain.shown(settings.alpha),
            "best_simple": told(share.simple),
        }
        for share in shares_of(found, metric)
    ]


def _with_interval(value: Interval) -> Text:
    return two_lines(short(value.value), f"{short(value.low)}-{short(value.high)}")


def _simple(row: RowResult | None, metric: str) -> Text:
    return Text("-") if row is None else two_lines(short(row.metrics[metric].value), row.label)


def _caption(shares: Sequence[Share], settings: CompareSettings) -> str:
    tests = shares[0].gain.tests
    corrected = f", Holm-corrected for the {tests} tests with fewer users" if tests > 1 else ""
    lines = [
        f"{settings.metric} on the same test targets; difference: paired, its interval, in % of from scratch",
        f"p: paired randomisation test over users{corrected}; with the most users as in the sentence",
    ]
    if len({share.moved.label for share in shares}) > 1:
        told = "; ".join(f"{share.users:,} users: {share.moved.label}" for share in shares)
        lines.append(f"transferred: of the tuning rules the one that validated best at each share: {told}")
    if any(share.gain.shown(settings.alpha) == "below" for share in shares):
        lines.append("Warning: negative transfer, the transferred row is shown to be worse than the one from scratch")
    return "\n".join(lines)
