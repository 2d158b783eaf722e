"""JSON lines: keys, the careful reading, and what the fast reader may be trusted with."""

from pathlib import Path

import pytest

from transrec.data.reading import jsonlines
from transrec.data.reading.findings import Reason


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.jsonl"


def test_values_become_strings(path: Path) -> None:
    path.write_text('{"id": 1, "tags": ["a", "b"], "v": [0.5, 1]}\n\n{"id": "x", "text": "caf\\u00e9"}\n')
    assert jsonlines.columns(path) == ("id", "tags", "v", "text")
    found = list(jsonlines.records(path, ("id", "tags", "v", "text")))
    assert [(r.row, r.line, r.values) for r in found] == [
        (1, 1, ["1", "a b", "[0.5, 1]", None]),
        (2, 3, ["x", None, None, "café"]),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{not json}", Reason.BAD_JSON),
        (b"[1]", Reason.BAD_JSON),
        (b'{"id": "\xff"}', Reason.ENCODING),
        (b'{"id": "\x00"}', Reason.NUL_BYTE),
    ],
)
def test_a_bad_line_is_found(path: Path, line: bytes, reason: Reason) -> None:
    path.write_bytes(b'{"id": 1}\n' + line + b'\n{"id": 3}\n')
    found = list(jsonlines.records(path, ("id",)))
    assert [r.trouble.reason if r.trouble else None for r in found] == [None, reason, None]
    assert jsonlines.fast(path, ["id"]) is None


def test_the_fast_reader_gives_the_same_strings(path: Path) -> None:
    path.write_text('{"u": 1, "t": 1.5}\n{"u": "b"}\n')
    frame = jsonlines.fast(path, ["u", "t"])
    assert frame is not None
    assert frame.collect().rows() == [("1", "1.5"), ("b", None)]
