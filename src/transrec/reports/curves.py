"""Training curves: the loss and the validation metric over the steps of every stage."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from transrec.reports.charts import FAINT, MAIN, SECOND, chart
from transrec.reports.files import Course, RunFiles

FEW = 40
"""With fewer points than this on a line, each has a dot."""


def training_curves(run: RunFiles, *, name: str) -> str:
    """The loss and the validation metric side by side; empty where nothing was logged.

    Args:
        run: whose logs.
        name: what the ids of the chart begin with.
    """
    courses = [course for course in run.courses if course.training or course.validation]
    if not courses:
        return ""
    starts = _starts(courses)

    def draw(axes: Sequence[Axes]) -> None:
        _loss(axes[0], courses, starts)
        _metric(axes[1], courses, starts, run)
        for own in axes:
            own.set_xlabel("step")
            own.yaxis.grid(visible=True)
            own.margins(x=0.03)
            for course, start in zip(courses[1:], starts[1:], strict=True):
                own.axvline(start, color=FAINT, linewidth=1, linestyle=":")
                own.annotate(f" {course.name}", (start, 1), xycoords=("data", "axes fraction"), va="top", fontsize=8)

    best = run.best
    told = f"; best {run.metric} {best[run.metric]:.4f} at step {best['step']:,}" if best else ""
    return chart(draw, name=name, title=f"Loss and validation over the steps of training{told}", size=(10, 3.2), columns=2)


def _starts(courses: Sequence[Course]) -> list[int]:
    """Where each training begins on a common axis."""
    starts = [0]
    for course in courses:
        steps = [int(row["step"]) for row in (*course.training, *course.validation)]
        starts.append(starts[-1] + max(steps))
    return starts[:-1]


def _loss(axes: Axes, courses: Sequence[Course], starts: Sequence[int]) -> None:
    for course, start in zip(courses, starts, strict=True):
        steps = [start + int(row["step"]) for row in course.training]
        losses = [float(row["loss"]) for row in course.training]
        axes.plot(steps, losses, color=MAIN, linewidth=1.6, marker="o" if len(steps) < FEW else "", markersize=3.5)
    axes.set_title("Loss")


def _metric(axes: Axes, courses: Sequence[Course], starts: Sequence[int], run: RunFiles) -> None:
    for course, start in zip(courses, starts, strict=True):
        rows = [row for row in course.validation if run.metric in row]
        steps = [start + int(row["step"]) for row in rows]
        values = [float(row[run.metric]) for row in rows]
        axes.plot(steps, values, color=MAIN, linewidth=1.6, marker="o" if len(steps) < FEW else "", markersize=4)
    axes.set_title(f"{run.metric} on validation targets")
    best = run.best
    if best is not None:
        value = float(best[run.metric])
        axes.plot(starts[-1] + int(best["step"]), value, "o", color=SECOND, markersize=8)
        axes.set_title(f"{run.metric} on validation targets, best {value:.4f}")
