"""One table, on the screen, as Markdown and as JSON."""

from __future__ import annotations

import json

import pytest
from studying_ground import Done, Ground


def test_the_table_fits_and_tells_everything(done: Done) -> None:
    assert "…" not in done.text, "the table must fit into 80 columns"
    for part in (*done.study.sentences, done.study.headline, "the test split has been opened", "Holm-corrected for 4 tests"):
        assert " ".join(part.split()) in " ".join(done.text.split())


def test_markdown_has_a_line_for_each_kind(done: Done) -> None:
    page = (done.folder / "study.md").read_text()
    table = [row.strip("| ").split(" | ") for row in page.splitlines() if row.startswith("|")]
    assert [row[0] for row in table] == ["kind", "---", "mixed", "text", "image", "both"]
    assert {len(row) for row in table} == {7}
    scratch = done.study.lines[0].comparison.findings.table[0].metrics["NDCG@10"]
    assert table[2][2] == str(scratch)
    assert done.study.headline in page and all(sentence in page for sentence in done.study.sentences)


def test_the_file_holds_the_numbers_of_the_comparisons(done: Done, ground: Ground) -> None:
    written = json.loads((done.folder / "study.json").read_text())
    assert (written["format"], written["study"], written["metric"]) == (1, "kinds", "NDCG@10")
    assert str(ground.run) not in json.dumps(written), "where things are on this machine is not told"
    for line in written["lines"]:
        compared = json.loads((done.folder / line["comparison"] / "compare.json").read_text())
        assert [row["NDCG@10"] for row in line["rows"]] == [row["metrics"]["NDCG@10"] for row in compared["rows"]]
        [own] = compared["transferred_against_scratch"]
        assert line["transferred_against_scratch"]["points"] == own["points"]
        assert line["transferred_against_scratch"]["p_value"] == pytest.approx(own["p_value"])
        assert line["transferred_against_scratch"]["tests"] == 4 and own["tests"] == 1
        assert line["transferred_against_scratch"]["corrected"] >= own["corrected"]
        assert line["fingerprint"] == compared["dataset"]["fingerprint"]
