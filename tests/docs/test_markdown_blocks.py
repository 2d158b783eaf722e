"""The harness that runs the documentation reads marks strictly and can fail."""

from pathlib import Path

import pytest
from markdown_blocks import blocks_of, run_page

FENCE = "```"


def page(*parts: str) -> str:
    return "\n\n".join(parts) + "\n"


def block(language: str, text: str, mark: str = "run") -> str:
    return f"<!-- test: {mark} -->\n{FENCE}{language}\n{text}\n{FENCE}"


def test_commands_are_told_from_output() -> None:
    (console,) = blocks_of(block("console", "$ echo one\none\n$ echo two \\\n>   three\ntwo three\n$ true"))
    assert console.script.splitlines() == ["echo one", "echo two \\", "  three", "true"]


def test_a_backslash_continues_a_command_without_a_prompt() -> None:
    (console,) = blocks_of(block("console", "$ echo two \\\n    three\ntwo three"))
    assert console.script.splitlines() == ["echo two \\", "    three"]


def test_other_languages_need_no_mark_and_are_left_alone() -> None:
    assert blocks_of(f"{FENCE}yaml\na: 1\n{FENCE}\n\n{FENCE}\n$ plain\n{FENCE}\n") == []


def test_a_block_inside_a_list_loses_its_indentation() -> None:
    (found,) = blocks_of(f"1. Do\n\n   <!-- test: run -->\n   {FENCE}bash\n   if true; then\n     echo\n   fi\n   {FENCE}\n")
    assert found.text == "if true; then\n  echo\nfi"
    assert found.line == 4


def test_a_block_within_a_longer_fence_is_text() -> None:
    assert blocks_of(f"{FENCE}`markdown\n{FENCE}bash\nexit 1\n{FENCE}\n{FENCE}`\n") == []


def test_a_mark_may_stand_an_empty_line_above_but_not_a_paragraph() -> None:
    assert len(blocks_of(f"<!-- test: run -->\n\n{FENCE}bash\ntrue\n{FENCE}\n")) == 1
    with pytest.raises(ValueError, match="line 4 is not marked"):
        blocks_of(f"<!-- test: run -->\n\nText.\n{FENCE}bash\ntrue\n{FENCE}\n")


@pytest.mark.parametrize("mark", ["skip", "skip because", "ran", "run twice"])
def test_a_mark_must_be_known_and_a_skip_needs_its_reason(mark: str) -> None:
    with pytest.raises(ValueError, match="line 2 is marked"):
        blocks_of(block("python", "pass", mark))


def test_a_mark_serves_one_block() -> None:
    with pytest.raises(ValueError, match="is not marked"):
        blocks_of(page(block("bash", "true"), f"{FENCE}bash\ntrue\n{FENCE}"))


def test_a_block_without_an_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="line 2 has no end"):
        blocks_of(f"<!-- test: run -->\n{FENCE}bash\ntrue\n")


def test_blocks_run_in_order_in_one_folder(tmp_path: Path) -> None:
    text = page(
        "<!-- test: setup\necho hidden > a.txt\n-->",
        block("console", "$ cat a.txt > b.txt\nhidden"),
        block("python", "from pathlib import Path\ntext = Path('b.txt').read_text()"),
        block("python", "Path('c.txt').write_text(text * 2)", "run continued"),
        block("bash", "exit 3", "skip because it fails"),
        block("bash", "exit 3", "run fails"),
    )
    run_page(text, tmp_path, variables={})
    assert (tmp_path / "c.txt").read_text() == "hidden\nhidden\n"


@pytest.mark.parametrize(
    "text", [block("bash", "false\ntrue"), block("python", "assert 0"), block("bash", "true", "run fails")]
)
def test_a_block_that_goes_wrong_fails_with_its_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="the block at line 2"):
        run_page(text, tmp_path, variables={})


def test_replacements_make_a_block_quick_and_must_be_used(tmp_path: Path) -> None:
    run_page(block("bash", "test 9 = 1"), tmp_path, replacements=[("test 9", "test 1")], variables={})
    with pytest.raises(AssertionError, match="occur on no block any more"):
        run_page(block("bash", "true"), tmp_path, replacements=[("test 9", "test 1")], variables={})
