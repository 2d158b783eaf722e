"""Delimited text: the quick look over the bytes, and the careful reading of records."""

import csv
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transrec.data.reading.delimited import Format, is_tidy, records, sniff
from transrec.data.reading.findings import Reason
from transrec.errors import DataError


@pytest.fixture
def read(tmp_path: Path):
    def _read(data: bytes, **kind: object):
        path = tmp_path / "table.csv"
        path.write_bytes(data)
        form = sniff(path, Format(**kind))  # type: ignore[arg-type]
        return form, is_tidy(path, form), list(records(path, form))

    return _read


def test_a_plain_file_is_tidy(read) -> None:
    form, tidy, found = read(b"u,i,t\r\na,1,5\r\nb,,6")
    assert (form.separator, form.header, tidy) == (",", ("u", "i", "t"), True)
    assert [(r.row, r.line, r.values) for r in found] == [(1, 2, ["a", "1", "5"]), (2, 3, ["b", None, "6"])]


@pytest.mark.parametrize(
    ("data", "separator"),
    [(b"a;b\n1;2\n", ";"), (b"a\tb\n1\t2\n", "\t"), (b"a|b\n1|2\n", "|"), (b"\xef\xbb\xbfa,b\n1,2\n", ",")],
)
def test_separator_and_byte_order_mark_are_found(read, data: bytes, separator: str) -> None:
    form, _, found = read(data)
    assert (form.separator, form.header) == (separator, ("a", "b"))
    assert found[0].values == ["1", "2"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"x,1\n", Reason.RAGGED),
        (b"x,1,2,3\n", Reason.RAGGED),
        (b"x\x00,1,2\n", Reason.NUL_BYTE),
        (b"caf\xe9,1,2\n", Reason.ENCODING),
        (b'"x,1,2\n', Reason.RAGGED),
    ],
)
def test_one_bad_line_is_found_and_the_others_read(read, line: bytes, reason: Reason) -> None:
    _, tidy, found = read(b"u,i,t\na,1,5\n" + line + b"b,2,6\nc,3,7\n")
    assert not tidy
    assert [(r.row, r.line) for r in found] == [(1, 2), (2, 3), (3, 4), (4, 5)]
    assert [r.trouble.reason if r.trouble else None for r in found] == [None, reason, None, None]
    assert found[3].values == ["c", "3", "7"]


def test_a_short_and_a_long_row_do_not_make_up_for_each_other(read) -> None:
    assert read(b"u,i,t\na,1\nb,1,2,3\n")[1] is False


def test_a_blank_line_is_passed_over_but_counts_as_a_line(read) -> None:
    _, tidy, found = read(b"u,i\na,1\n\nb,2\n")
    assert not tidy
    assert [(r.row, r.line) for r in found] == [(1, 2), (2, 4)]


def test_records_may_span_lines_inside_quotation_marks(read) -> None:
    _, tidy, found = read(b'id,text\n1,"two\nlines, and ""quotes"""\n2,one\n')
    assert not tidy
    assert [(r.row, r.line, r.values) for r in found] == [(1, 2, ["1", 'two\nlines, and "quotes"']), (2, 4, ["2", "one"])]


def test_separators_inside_quotation_marks_are_tidy(read) -> None:
    assert read(b'id,text\n1,"a, b"\n')[1] is True


def test_an_inch_sign_is_not_a_quotation_mark(read) -> None:
    _, _, found = read(b'id,text\n1,5" pipe\n2,6" pipe\n')
    assert [r.values for r in found] == [["1", '5" pipe'], ["2", '6" pipe']]


def test_another_encoding_is_read_when_named(read) -> None:
    _, tidy, found = read(b"id,text\n1,caf\xe9\n", encoding="latin-1")
    assert not tidy
    assert found[0].values == ["1", "café"]


def test_utf_16_is_refused_with_the_flag_and_read_with_it(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,text\n1,café\n", encoding="utf-16")
    with pytest.raises(DataError, match="--encoding utf-16"):
        sniff(path, Format())
    form = sniff(path, Format(encoding="utf-16"))
    assert [r.values for r in records(path, form)] == [["1", "café"]]


def test_separators_of_several_characters_and_no_header(read) -> None:
    form, tidy, found = read(b"1::2::3\n", separator="::", header=("a", "b", "c"), headless=True, quoted=False)
    assert not tidy
    assert (found[0].row, found[0].line, found[0].values) == (1, 1, ["1", "2", "3"])
    assert form.header == ("a", "b", "c")


def test_compressed_files(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n1,2\n"))
    form = sniff(path, Format())
    assert is_tidy(path, form)
    assert [r.values for r in records(path, form)] == [["1", "2"]]


@pytest.mark.parametrize("data", [b"", b"\na,b\n", b"a,a\n1,2\n", b"a,\n1,2\n", b"a\x00,b\n"])
def test_a_header_that_cannot_be_used_is_an_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(DataError):
        sniff(tmp_path / "t.csv", Format())


cells = st.text(st.characters(blacklist_categories=("Cs", "Cc")) | st.sampled_from('",\n;'), max_size=8)


@given(rows=st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=6))
def test_whatever_the_csv_module_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([["a", "b", "c"], *rows])
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_bytes(text.getvalue().encode())
    found = list(records(path, sniff(path, Format())))
    assert [r.values for r in found] == [[cell or None for cell in row] for row in rows]
    assert not any(r.trouble for r in found)


@given(data=st.lists(st.binary(max_size=12) | st.sampled_from([b"a,b,c", b'x,"y",z']), max_size=6))
def test_no_bytes_break_the_reader_and_tidy_files_have_no_trouble(
    tmp_path_factory: pytest.TempPathFactory, data: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_bytes(b"a,b,c\n" + b"\n".join(data))
    form = sniff(path, Format())
    found = list(records(path, form))
    assert all(r.trouble or len(r.values) == 3 for r in found)
    if is_tidy(path, form):
        assert not any(r.trouble for r in found)


@pytest.mark.parametrize("content", [b"id\n\n1\n", b"id\n1\n\n\n2\n", b"id\r\n\r\n1\r\n"])
def test_an_empty_line_of_a_table_of_one_column_is_no_row(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    form = sniff(tmp_path / "t.csv", Format())
    assert not is_tidy(tmp_path / "t.csv", form)
    values = [record.values for record in records(tmp_path / "t.csv", form)]
    assert [] not in values and [None] not in values and values[-1] in (["1"], ["2"])
