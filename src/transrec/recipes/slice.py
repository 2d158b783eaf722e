"""Slice: a smaller run out of a run, without training."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from transrec._version import __version__
from transrec.data.folders import local_folder
from transrec.errors import ModelError
from transrec.model import TransRec
from transrec.recipes.showing import fate_table, tell_of_parameters
from transrec.rules import fates
from transrec.rules.slicing import compared, sliced
from transrec.runs import RunRecord, require_empty, write_card, write_parameters


def slice(  # noqa: A001  (the verb is called so)
    run: str | Path, width: int, out: str | Path, *, index_only: bool = False, console: Console | None = None
) -> TransRec:
    """Write the run whose vectors are the first numbers of this run's, and say what became of every parameter.

    It loads, is measured, recommends, serves and is transferred as any run. Its index is made when it is wanted.

    Args:
        run: the run folder; stays as it is.
        width: how many numbers.
        out: the run folder to make.
        index_only: leave the model as it is and compare the first numbers alone: for a model that is not nested. Users and
            the items of their histories are then read at full width.
        console: where it is told; standard output when None.

    Raises:
        ModelError: the model is not nested at this width, or, with ``index_only``, its vectors have no more numbers.
        RunError: the folder is not a run, or ``out`` is not empty.
    """
    told, folder = console or Console(highlight=False), Path(out)
    require_empty(folder)
    record, model = RunRecord.read(local_folder(run)), TransRec.load(run)
    whole = model.scorer.reads or model.items.width
    smaller, sources = _cut(model, width) if index_only else sliced(model, width)
    became = fates(smaller.requires_grad_(requires_grad=False), sources)
    flags = ("--width", str(width), *(["--index-only"] if index_only else []))
    origin = {"verb": "slice", "version": __version__, "source": str(Path(run).resolve()), "rules": (), "flags": flags}
    smaller.save(folder)
    record = record.model_copy(update=origin)
    record.write(folder)
    write_parameters(folder, became)
    taken = f"the first {width} of {whole} numbers {'are compared' if index_only else 'of every vector'}"
    write_card(folder, record, became, {"slice": taken, "measured": "not yet"})
    told.print(fate_table(became))
    tell_of_parameters(told)
    told.print(f"{taken}; {sum(p.numel() for p in smaller.parameters()):,} parameters", highlight=False)
    taught = record.objective.get("matryoshka", {}).get("sizes", [])
    if width not in taught:
        looked = f"looked at {', '.join(map(str, taught))}" if taught else "looked at the whole alone"
        told.print(f"[yellow]the objective that taught this run {looked}, not at {width}: measure before you use it[/]")
    return smaller


def _cut(model: TransRec, width: int) -> tuple[TransRec, dict[str, str]]:
    """The same model under a scorer that looks at so many numbers, and where its parameters come from.

    Raises:
        ModelError: that is none, or all of them or more.
    """
    whole = model.scorer.reads or model.items.width
    if not 0 < width < whole:
        raise ModelError(f"{width} of {whole} numbers cannot be compared alone", remedy=f"take from 1 to {whole - 1}")
    smaller = compared(model, width).eval()
    return smaller, dict.fromkeys(smaller.state_dict(), "copy")
