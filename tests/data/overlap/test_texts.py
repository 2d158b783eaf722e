from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from transrec.data.overlap import texts
from transrec.data.overlap.texts import SHINGLE, near_texts, normalised, text_digests


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("  A Red--Lamp,\n 40W! ", "a red lamp 40w"),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER A} Straße", "a strasse"),
        ("青いランプ2つ", "青 い ラ ン プ 2 つ"),
        ("...", ""),
    ],
)
def test_form_case_and_punctuation_say_nothing(text: str, words: str) -> None:
    assert normalised(text) == words


def jaccard(first: str, second: str) -> float:
    def shingles(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        return {tuple(words[i : i + SHINGLE]) for i in range(max(len(words) - SHINGLE + 1, 1))} if words else set()

    ours, theirs = shingles(first), shingles(second)
    return len(ours & theirs) / len(ours | theirs) if ours | theirs else 0.0


def mutated(generator: np.random.Generator, text: str) -> str:
    words = text.split()
    for _ in range(generator.integers(0, 3)):
        words[generator.integers(len(words))] = f"w{generator.integers(60)}"
    return " ".join(words[generator.integers(0, 2) :])


def sentences(generator: np.random.Generator, number: int) -> list[str]:
    return [" ".join(f"w{w}" for w in generator.integers(0, 60, generator.integers(1, 25))) for _ in range(number)]


@pytest.mark.parametrize("least", [0.3, 0.5, 0.8, 1.0])
def test_agrees_with_all_pairs_compared_one_by_one(least: float) -> None:
    generator = np.random.default_rng(0)
    source = sentences(generator, 150)
    target = [*sentences(generator, 40), *(mutated(generator, text) for text in source[:80]), "", source[3]]
    found = near_texts(target, source, least=least)
    table = np.array([[jaccard(ours, theirs) for theirs in source] for ours in target])
    expected = np.flatnonzero(table.max(axis=1) >= least - 1e-12)
    assert found.targets.tolist() == expected.tolist() and len(expected) > 10
    assert found.similarity == pytest.approx(table[expected].max(axis=1))
    assert table[found.targets, found.sources] == pytest.approx(found.similarity)
    assert found.crowded == 0


def test_a_sentence_with_one_other_word_of_twenty_is_near() -> None:
    words = [f"w{i}" for i in range(20)]
    changed = [*words[:19], "other"]
    assert near_texts([" ".join(words)], ["something else", " ".join(changed)]).sources.tolist() == [1]
    assert not len(near_texts([" ".join(words)], [" ".join([*words[:10], "other", *words[11:]])], least=0.9).targets)


def test_nothing_is_near_an_empty_text_or_an_empty_platform() -> None:
    assert not len(near_texts(["", ""], ["", "a b c"]).targets)
    assert not len(near_texts([], ["a b c"]).targets)
    assert not len(near_texts(["a b c"], []).targets)


def test_phrases_that_all_share_stay_bounded_and_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "PAIRS_AT_MOST", 10)
    shared = ["the same old phrase"] * 20
    found = near_texts([*shared, "a rare little thing"], [*shared, "a rare little thing"])
    assert found.targets.tolist() == [20], "rare ones are still found"
    assert found.crowded == 20


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    source = sentences(generator, 60)
    target = [mutated(generator, text) for text in source]
    whole = near_texts(target, source, least=0.5)
    monkeypatch.setattr(texts, "TOKENS_AT_ONCE", 20)
    parts = near_texts(target, source, least=0.5)
    assert whole.targets.tolist() == parts.targets.tolist() and whole.sources.tolist() == parts.sources.tolist()


def test_ascii_is_normalised_as_any_other_text_is() -> None:
    for code in range(128):
        alone = f"a{chr(code)}B"
        assert normalised(f"{alone} é") == f"{normalised(alone)} é", "the letter keeps it from the short way"


def test_digests_are_equal_where_the_words_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "AT_ONCE", 2)
    told = []
    series = pl.Series(["A lamp.", None, "a LAMP", "lamp a", "...", "STRASSE", "straße"])
    digests = text_digests(series, np.array([0, 2, 3, 1, 4, 5, 6]), progress=lambda *what: told.append(what), what="it")
    assert digests[0] == digests[1] != digests[2] and digests[3] == digests[4] == 0 and digests[5] == digests[6]
    assert len(set(digests.tolist())) == 4 and told[-1] == ("it", 7, 7)
