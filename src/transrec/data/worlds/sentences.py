"""Sentences: an item's topic and style as a product title or a headline, no two alike."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from transrec.data.worlds.vocabulary import Dialect, Style, Topic

TEMPLATES: dict[Dialect, tuple[str, ...]] = {
    "shop": (
        "{style} {thing} by {maker} for {act}",
        "{maker} {thing}, {style} and {filler}",
        "new from {maker}: the {style} {thing}",
        "{thing} and {other} by {maker}, {style}, {filler}",
        "{maker} kit for {act} with a {style} {thing}",
        "a {style} {thing} made for {act}, {maker}",
    ),
    "magazine": (
        "why {maker} swears by a {style} {thing}",
        "how {act} taught {maker} to love the {style} {thing}",
        "{maker} on {act}: one {style} {thing}, {filler}",
        "letters to {maker}: is my {thing} too {style}?",
        "a {style} weekend of {act} with {maker}",
        "the {thing}, the {other} and {maker}: a {style} story",
    ),
}
FILLERS: dict[Dialect, tuple[str, ...]] = {
    "shop": (
        "in stock now", "gift wrapped", "back by request", "made in small batches", "two for one", "ready to ship",
        "the last few", "half price today",
    ),
    "magazine": (
        "no regrets", "ten photographs", "a long read", "in five lessons", "part two", "as told to a friend",
        "from our archive", "for beginners",
    ),
}  # fmt: skip
ONSETS = ("b", "br", "d", "f", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z")
VOWELS = ("a", "e", "i", "o", "u", "ai", "ea")
ENDINGS = ("", "n", "l", "r", "s", "x")


def invent_makers(generator: np.random.Generator, count: int) -> list[str]:
    """Invented names of shops and authors: words that say nothing about a topic and do not carry to another platform."""
    makers: set[str] = set()
    while len(makers) < count:
        syllables = [generator.choice(ONSETS) + generator.choice(VOWELS) for _ in range(2)]
        makers.add("".join(syllables).capitalize() + str(generator.choice(ENDINGS)))
    return sorted(makers)


def write_sentence(
    topic: Topic, style: Style, *, dialect: Dialect, makers: Sequence[str], generator: np.random.Generator
) -> str:
    """One sentence; the template, the synonyms, the filler and the maker's name are drawn and mean nothing."""
    thing, other = generator.permutation(topic.things.of(dialect))[:2]
    sentence = _pick(TEMPLATES[dialect], generator).format(
        style=_pick(style.words.of(dialect), generator),
        thing=thing,
        other=other,
        act=_pick(topic.acts.of(dialect), generator),
        maker=_pick(makers, generator),
        filler=_pick(FILLERS[dialect], generator),
    )
    sentence = re.sub(r"\ba (?=[aeiou])", "an ", sentence)
    return sentence[0].upper() + sentence[1:]


def _pick(words: Sequence[str], generator: np.random.Generator) -> str:
    return words[int(generator.integers(len(words)))]
