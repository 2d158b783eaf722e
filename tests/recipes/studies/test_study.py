"""What a study says: p-values corrected over its lines, and sentences that say no more than they."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from transrec.evaluation.contrasts import Contrast, one_family
from transrec.evaluation.intervals import Interval
from transrec.recipes.comparing.sentence import Evidence
from transrec.recipes.studies.study import Line, Study, folder_name


def contrast(p_value: float, gain: float = 0.1, first: str = "transferred") -> Contrast:
    points = Interval(gain, gain - 0.05, gain + 0.05)
    percent = Interval(100 * gain, 0.0, 20.0)
    return Contrast(first, "from scratch", (0.2 + gain, 0.2), points, percent, (gain,), p_value, p_value)


def line(label: str, *transfers: Contrast, chosen: int = 0) -> Line:
    own = one_family(transfers)
    evidence = Evidence("shop", "NDCG@10", own[chosen] if own else None, {}, ())
    findings: Any = SimpleNamespace(transfers=tuple(own), evidence=evidence, mind="only 9 test targets", table=())
    return Line(label, "", SimpleNamespace(findings=findings), "")  # type: ignore[arg-type]


def study(*lines: Line, name: Any = "kinds", alpha: float = 0.05) -> Study:
    return Study(name, "title", "kind", lines, "NDCG@10", alpha, (), {})


def test_p_values_are_corrected_over_all_lines() -> None:
    found = study(line("text", contrast(0.02)), line("image", contrast(0.03)), line("both", contrast(0.5)))
    assert [own and own.corrected for own in found.transfers] == pytest.approx([0.06, 0.06, 0.5])
    assert "No difference shown" in found.sentences[0] and "corrected p = 0.060" in found.sentences[0]
    assert found.headline.endswith("makes no difference that is shown for the kinds text, image and both.")


def test_several_tuning_rules_are_several_tests_and_the_validated_one_is_shown() -> None:
    moved = (contrast(0.001, first="transferred (full)"), contrast(0.01, first="transferred (frozen)"))
    found = study(line("text", *moved, chosen=1), line("image", contrast(0.02)))
    first, second = found.transfers
    assert first and second and first.first == "transferred (frozen)"
    assert (first.corrected, second.corrected) == pytest.approx((0.02, 0.02)) and first.tests == 3


def test_the_headline_tells_what_is_shown_and_where() -> None:
    lines = (line("50", contrast(0.001, -0.1)), line("120", contrast(0.9, 0.01)), line("300", contrast(0.001)))
    found = study(*lines, name="sources")
    assert found.headline == (
        "Against training from scratch, the transfer helps with 300 source users; it does harm with 50 source users; it "
        "makes no difference that is shown with 120 source users."
    )
    assert "Warning, negative transfer" in found.sentences[0] and "Pre-training elsewhere helps" in found.sentences[2]
    assert all("only 9 test targets" in sentence for sentence in found.sentences)


def test_without_the_two_rows_nothing_is_claimed() -> None:
    found = study(line("text"), line("image", contrast(0.001)))
    assert found.transfers[0] is None and "was not asked" in found.sentences[0]
    assert found.headline == "Against training from scratch, the transfer helps for the kind image."
    assert "was not asked" in study(line("text")).headline


def test_a_name_becomes_a_folder() -> None:
    assert folder_name("market, text only") == "market-text-only"
