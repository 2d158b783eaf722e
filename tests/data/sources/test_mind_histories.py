"""What the histories of MIND add, against a slow and plain reading of the same files."""

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from transrec.data.reading.tables import ROW
from transrec.data.sources.mind_histories import Histories, clicked, seconds


def test_times_are_read_without_leading_zeros_and_noon_is_no_midnight() -> None:
    written = ["1/2/2019 9:05:58 AM", "11/11/2019 12:00:00 AM", "11/11/2019 12:00:00 PM", "2019-11-11", "", None]
    read = pl.DataFrame({"t": written}).select(seconds("t"))["t"].to_list()
    assert read == [1546419958, 1573430400, 1573473600, None, None, None]


def test_only_whole_labels_are_clicks() -> None:
    rows = pl.DataFrame({"i": ["N1-1 N2-0 N3-1", "N4-11 N-1-1", "N5 N6", None]})
    assert rows.select(clicked("i"))["i"].to_list() == [["N1", "N3"], ["N-1"], [], None]


def draw(folder: Path, generator: np.random.Generator) -> list[tuple[str, int, list[str], list[str]]]:
    """Two files of few users, news and moments: (user, second, history, clicks), in the order of time."""
    impressions, written = [], {0: "", 1: ""}
    histories: dict[str, list[str]] = {}
    for second in range(int(generator.integers(1, 25))):
        user, file = f"U{generator.integers(3)}", int(generator.integers(2))
        more = [f"N{news}" for news in generator.integers(5, size=generator.integers(0, 3))]
        history = histories[user] = histories.get(user, []) + more
        clicks = [f"N{news}" for news in generator.choice(5, size=generator.integers(0, 3), replace=False)]
        shown = " ".join([*(f"{news}-1" for news in clicks), "N9-0"])
        row = written[file].count("\n") + 1
        written[file] += f"{row}\t{user}\t11/9/2019 12:00:{second:02d} AM\t{' '.join(history)}\t{shown}\n"
        impressions.append((user, second, list(history), clicks))
    for file, text in written.items():
        (folder / str(file)).mkdir()
        (folder / str(file) / "behaviors.tsv").write_text(text or "1\tU9\t11/9/2019 12:00:30 AM\t\tN9-0\n")
    return impressions


@pytest.mark.parametrize("seed", range(20))
def test_every_click_of_a_history_is_added_once(tmp_path: Path, seed: int) -> None:
    impressions = draw(tmp_path, np.random.default_rng(seed))
    start = min(second for _, second, _, _ in impressions)
    known: dict[str, Counter[str]] = {}
    clicked_before: dict[str, set[str]] = {}
    begun: set[str] = set()
    expected = []
    for user, second, history, clicks in impressions:
        had, own = known.setdefault(user, Counter()), clicked_before.setdefault(user, set())
        new, so_far = [], Counter[str]()
        for news in history:
            so_far[news] += 1
            if so_far[news] > had[news] and news not in own:
                new.append(news)
        known[user] = had | so_far
        if new:
            expected.append((user, new, second if user in begun else start))
        begun.add(user)
        own.update(clicks)

    paths = [tmp_path / str(file) / "behaviors.tsv" for file in range(2)]
    histories, zero = Histories(paths), 1573257600
    added = []
    for path in paths:
        lines = [line.split("\t") for line in path.read_text().splitlines()]
        for row, own, end in histories.of(path).sort(ROW).iter_rows():
            _, user, _, history, _ = lines[row - 1]
            new = (history if own is None else own).split()
            assert not Counter(new) - Counter(history.split())
            added.append((user, new, end - zero))
    assert sorted(added) == sorted(expected)
