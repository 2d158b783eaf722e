"""Doing all jobs one after the other, in front of people: which of how many, and what came of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from transrec.data.reading.findings import counted
from transrec.errors import BackboneError, TransRecError
from transrec.recipes.comparing.jobs import Job
from transrec.recipes.comparing.variants import SimpleMethod
from transrec.recipes.comparing.work import Finished, Workshop


def all_done(workshop: Workshop, jobs: Sequence[Job], console: Console) -> tuple[list[Finished], dict[str, str]]:
    """Every job, done now or found done; and the rows of simple methods that cannot be had, each with the reason.

    Args:
        workshop: does them.
        jobs: in this order.
        console: where it is told.

    Raises:
        TransRecError: a job that is not a simple method's cannot be done.
    """
    finished: list[Finished] = []
    lacking: dict[str, str] = {}
    with _shown(len(jobs), console) as (progress, task):
        for number, job in enumerate(jobs, start=1):
            which = f"{number} of {len(jobs)}: {job}"
            progress.update(task, description=which, completed=number - 1)
            if job.row.name in lacking:
                continue
            found = workshop.is_done(job)
            try:
                finished.append(workshop.done(job))
            except TransRecError as error:
                if not isinstance(job.row.made, SimpleMethod):
                    raise
                lacking[job.row.name] = _reason(error)  # say, encoders that cannot be fetched again
            else:
                progress.console.print(f"{which}: {_outcome(finished[-1], found)}", soft_wrap=True)
    return [own for own in finished if own.job.row.name not in lacking], lacking


@contextmanager
def _shown(total: int, console: Console) -> Iterator[tuple[Progress, TaskID]]:
    console.print(f"[bold]{counted(total, 'model')} to train, tune or rank[/bold]")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress, progress.add_task("", total=total)


def _reason(error: TransRecError) -> str:
    asked = isinstance(error, BackboneError) and error.where
    return f"{error.what}; --{error.where} says where it is" if asked else error.what


def _outcome(finished: Finished, found: bool) -> str:
    seconds = f"{finished.cost.seconds:.1f} s" if finished.cost else "nothing to train"
    validation = "" if finished.validation is None else f"validation {finished.validation:.4f}, "
    return f"{validation}{'found done' if found else seconds}"
