"""Cells: numbers as the tables of comparisons and studies show them."""

from __future__ import annotations

from rich.text import Text

from transrec.evaluation.contrasts import Contrast


def short(value: float, sign: str = "") -> str:
    """Four decimals, without the zero before the point."""
    text = f"{value:{sign}.4f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def short_p(against: Contrast) -> str:
    """The corrected p-value with three decimals, without the zero before the point."""
    return "<.001" if against.corrected < 0.001 else f"{against.corrected:.3f}".removeprefix("0")


def two_lines(above: str, below: str, *, bold: bool = False) -> Text:
    """A cell of a table: a number, and dim below it what belongs to it."""
    return Text.assemble((above, "bold" if bold else ""), (f"\n{below}", "dim"))
