"""Worlds hold a signal that only content carries, and nothing else that a model could lean on."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from transrec.data.dataset import Dataset
from transrec.data.splits import leave_one_out
from transrec.data.worlds import Behaviour, SourceAndTargets, World, source_and_targets
from transrec.data.worlds.behaviour import Offer, walk
from transrec.data.worlds.motifs import MOTIFS
from transrec.data.worlds.pictures import draw_picture
from transrec.data.worlds.vocabulary import STYLES, TOPICS, Words
from transrec.errors import DataError, SettingsError

SMALL_WORDS = {
    "a",
    "an",
    "at",
    "down",
    "for",
    "from",
    "in",
    "like",
    "of",
    "on",
    "past",
    "the",
    "through",
    "to",
    "up",
    "with",
}


@pytest.fixture(scope="module")
def platforms() -> SourceAndTargets:
    return source_and_targets(0, scale=0.2)


@pytest.fixture(scope="module")
def world() -> World:
    """The world of ``platforms``."""
    worlds, _ = np.random.default_rng(0).spawn(2)
    return World.make(worlds)


# ---- what the platforms are ---------------------------------------------------------------------------------------


def test_the_four_targets_have_the_modalities_of_the_paper(platforms: SourceAndTargets) -> None:
    half = {"text": 250, "image": 250}
    counts = {name: _modality_counts(target) for name, target in platforms.targets.items()}
    assert counts == {"mixed": half, "text": {"text": 500}, "image": {"image": 500}, "elsewhere": half}
    assert _modality_counts(platforms.source) == {"text": 750, "image": 750}
    for platform in (platforms.source, platforms.targets["elsewhere"]):
        together = platform.catalog.presence["text"].astype(int) + platform.catalog.presence["image"]
        assert (together == 1).all(), "a mixed platform gives every item exactly one modality"


def test_both_gives_every_item_text_and_picture(world: World) -> None:
    platform = world.platform("p", users=5, items=30, modalities="both", generator=np.random.default_rng(1))
    assert all(item.text and item.image for item in platform.catalog.items(range(30)))


def test_platforms_share_no_user_no_item_and_no_content(platforms: SourceAndTargets) -> None:
    everyone = [platforms.source, *platforms.targets.values()]
    for kind in (
        lambda p: p.interactions.users.to_list(),
        lambda p: p.catalog.ids,
        lambda p: list(p.catalog.content_keys),
        lambda p: p.catalog.column("title").to_list(),
    ):
        values = [value for platform in everyone for value in kind(platform)]
        assert len(values) == len(set(values))


def test_the_same_seed_gives_the_same_platform_and_another_gives_another() -> None:
    def draw(seed: int) -> Dataset:
        worlds, platforms = np.random.default_rng(seed).spawn(2)
        return World.make(worlds).platform("p", users=20, items=40, generator=platforms)

    assert draw(3).fingerprint == draw(3).fingerprint
    assert draw(3).fingerprint != draw(4).fingerprint


def test_the_targets_and_the_items_of_the_source_do_not_depend_on_its_scale(platforms: SourceAndTargets) -> None:
    smaller = source_and_targets(0, scale=0.01)
    assert len(smaller.source.interactions.users) == 30
    assert len(platforms.source.interactions.users) == 600
    assert smaller.source.catalog.fingerprint == platforms.source.catalog.fingerprint
    for name, target in platforms.targets.items():
        assert smaller.targets[name].fingerprint == target.fingerprint


def test_a_platform_says_that_it_is_synthetic_and_survives_the_disk(platforms: SourceAndTargets, tmp_path: Path) -> None:
    target = platforms.targets["mixed"]
    saved = target.save(tmp_path / "mixed")
    assert saved.fingerprint == target.fingerprint
    assert {"title", "topic", "style"} <= set(saved.catalog.columns)
    manifest = json.loads((tmp_path / "mixed" / "dataset.json").read_text())
    assert manifest["synthetic"] is True
    assert Behaviour.from_mapping(manifest["behaviour"]) == Behaviour(shortest=5, longest=9)


def test_pictures_are_pngs_of_the_side_asked_for() -> None:
    world = World.make(np.random.default_rng(0), picture_side=48)
    platform = world.platform("p", users=3, items=24, modalities="image", generator=np.random.default_rng(1))
    for item in platform.catalog.items(range(24)):
        assert item.image is not None
        picture = Image.open(io.BytesIO(item.image))
        assert (picture.format, picture.size, picture.mode) == ("PNG", (48, 48), "RGB")


# ---- the signal is there ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mixed", "text", "image", "elsewhere"])
def test_an_oracle_that_knows_the_topics_ranks_far_above_popularity(
    platforms: SourceAndTargets, world: World, name: str
) -> None:
    target = platforms.targets[name]
    oracle, popularity = _hit_rates(target, world)
    assert popularity < 0.08
    assert oracle > 0.2
    assert oracle > 3 * popularity


def test_over_all_targets_the_oracle_hits_five_times_as_often_as_popularity(
    platforms: SourceAndTargets, world: World
) -> None:
    rates = np.array([_hit_rates(target, world) for target in platforms.targets.values()])
    oracle, popularity = rates.mean(axis=0)
    assert oracle >= 5 * popularity


@pytest.mark.parametrize("label", ["topic", "style"])
def test_words_determine_topic_and_style_also_on_another_platform(platforms: SourceAndTargets, label: str) -> None:
    texts, labels = _texts(platforms.source, label)
    assert _read(texts, labels, *_texts(platforms.targets["text"], label)) > 0.95
    # the other dialect has words of its own, so a part of it cannot be known beforehand
    assert 0.6 < _read(texts, labels, *_texts(platforms.targets["elsewhere"], label)) < 0.95


@pytest.mark.parametrize(("label", "elsewhere"), [("topic", 0.35), ("style", 0.6)])
def test_pixels_determine_topic_and_style_also_on_another_platform(
    platforms: SourceAndTargets, label: str, elsewhere: float
) -> None:
    features, labels = _colours(platforms.source, label)
    assert _nearest_mean(features, labels, *_colours(platforms.targets["image"], label)) > 0.9
    assert _nearest_mean(features, labels, *_colours(platforms.targets["elsewhere"], label)) > elsewhere


def test_users_follow_the_transitions_of_the_world(world: World) -> None:
    only_following = Behaviour(follow=1.0, stay=0.0, explore=0.0)
    platform = _platform(world, only_following)
    names = [topic.name for topic in world.topics]
    topics_V = np.array([names.index(name) for name in platform.catalog.column("topic")])
    counts_TT = np.zeros_like(world.transitions_TT)
    for user in range(len(platform.interactions.users)):
        walked = topics_V[platform.interactions.history(user)]
        np.add.at(counts_TT, (walked[:-1], walked[1:]), 1)
    rates_TT = counts_TT / counts_TT.sum(axis=1, keepdims=True)
    assert np.abs(rates_TT - world.transitions_TT).max() < 0.12
    assert not rates_TT[world.transitions_TT == 0].any()
    assert sorted(np.unique(world.transitions_TT)) == [0.0, 0.25, 0.75]


def test_taste_makes_a_users_items_alike_in_style(world: World) -> None:
    def agreement(taste: float) -> float:
        platform = _platform(world, Behaviour(taste=taste, drift=0.0))
        styles_V = platform.catalog.column("style").to_numpy()
        histories = [styles_V[platform.interactions.history(u)] for u in range(200)]
        return float(np.mean([(h[1:] == h[:-1]).mean() for h in histories]))

    assert abs(agreement(1.0) - 0.25) < 0.04
    assert agreement(12.0) > 0.5


# ---- nothing else is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["row", "id"])
def test_neither_rows_nor_ids_say_anything_about_topics(platforms: SourceAndTargets, order: str) -> None:
    catalog = platforms.source.catalog
    topics = catalog.column("topic").to_numpy()
    if order == "id":
        topics = topics[np.argsort(catalog.ids)]
    neighbours_agree = (topics[1:] == topics[:-1]).mean()
    expected = 1 / 12
    assert abs(neighbours_agree - expected) < 4 * np.sqrt(expected * (1 - expected) / len(topics))


def test_user_ids_are_not_sorted_by_what_users_do(platforms: SourceAndTargets) -> None:
    interactions = platforms.source.interactions
    firsts = platforms.source.catalog.column("topic").to_numpy()[interactions.rows[interactions.offsets[:-1]]]
    assert (firsts[1:] == firsts[:-1]).mean() < 0.15


def test_an_unrelated_world_shares_no_topic_word_or_motif(world: World) -> None:
    other = World.make(np.random.default_rng(9), apart_from=world)
    assert not {t.name for t in world.topics} & {t.name for t in other.topics}
    assert not {s.texture for s in world.styles} & {s.texture for s in other.styles}
    assert not _vocabulary(world) & _vocabulary(other)


def test_no_two_topics_share_a_word() -> None:
    owners: dict[str, str] = {}
    for topic in TOPICS:
        for word in _content_words(topic.things) | _content_words(topic.acts):
            assert owners.setdefault(word, topic.name) == topic.name, word
    for style in STYLES:
        for word in _content_words(style.words):
            assert owners.setdefault(word, style.name) == style.name, word


def test_every_topic_has_a_motif_inside_its_square() -> None:
    assert set(MOTIFS) == {topic.name for topic in TOPICS}
    for patches in MOTIFS.values():
        assert max(np.abs(patch.points).max() for patch in patches) <= 1.1


# ---- the walk -----------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    follow=st.floats(0, 0.5),
    stay=st.floats(0, 0.3),
    explore=st.floats(0, 0.2),
    taste=st.floats(0.1, 50),
    interests=st.integers(1, 9),
    lengths=st.tuples(st.integers(1, 14), st.integers(1, 14)).map(sorted),
)
def test_a_walk_meets_no_item_twice_and_keeps_its_bounds(
    seed: int, follow: float, stay: float, explore: float, taste: float, interests: int, lengths: Sequence[int]
) -> None:
    generator = np.random.default_rng(seed)
    behaviour = Behaviour(
        follow=follow, stay=stay, explore=explore, taste=taste, interests=interests, shortest=lengths[0], longest=lengths[1]
    )
    ring_TT = np.roll(np.eye(5), 1, axis=1)
    # 15 items of 5 topics: three steps in one topic exhaust it
    offer = Offer(np.arange(15) % 5, np.arange(15) % 2, np.zeros(15), ring_TT, styles=2)
    events = walk(offer, behaviour, users=20, generator=generator)
    for (_,), walked in events.group_by("user"):
        assert lengths[0] <= len(walked) <= lengths[1]
        assert walked["row"].n_unique() == len(walked)
        assert walked["time"].is_sorted()
    assert events["user"].n_unique() == 20
    assert events["row"].is_between(0, 14).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"follow": 0.8, "stay": 0.3}, "must not pass 1"),
        ({"shortest": 9, "longest": 5}, "above longest"),
        ({"tast": 1}, "taste"),
    ],
)
def test_behaviour_that_cannot_be_is_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Behaviour.from_mapping(values)


def test_a_platform_with_too_few_items_says_how_many_it_needs(world: World) -> None:
    with pytest.raises(DataError, match="21 items"):
        world.platform("p", users=5, items=20, generator=np.random.default_rng(0))


@pytest.mark.parametrize("sizes", [{"topics": 25}, {"topics": 2}, {"styles": 9}, {"styles": 0}])
def test_a_world_of_impossible_size_is_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(DataError, match=f"a world of {next(iter(sizes.values()))}"):
        World.make(np.random.default_rng(0), **sizes)


def test_a_third_world_apart_from_a_full_one_is_refused(world: World) -> None:
    full = World.make(np.random.default_rng(0), topics=24)
    with pytest.raises(DataError, match="0 are free"):
        World.make(np.random.default_rng(1), apart_from=full)


def test_a_world_cannot_be_changed(world: World) -> None:
    with pytest.raises(ValueError, match="read-only"):
        world.transitions_TT[0, 0] = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        world.picture_side = 8  # type: ignore[misc]


def test_drawing_is_deterministic_and_the_dialects_differ() -> None:
    def draw(dialect: str) -> bytes:
        generator = np.random.default_rng(5)
        return draw_picture(TOPICS[0], STYLES[0], dialect=dialect, side=32, generator=generator)  # type: ignore[arg-type]

    assert draw("shop") == draw("shop")
    assert draw("shop") != draw("magazine")


# ---- oracle and classifiers ---------------------------------------------------------------------------------------


def _platform(world: World, behaviour: Behaviour) -> Dataset:
    generator = np.random.default_rng(2)
    return world.platform("p", users=200, items=600, modalities="text", generator=generator, behaviour=behaviour)


def _modality_counts(dataset: Dataset) -> dict[str, int]:
    return {name: int(present.sum()) for name, present in dataset.catalog.presence.items() if present.any()}


def _oracle_scores(dataset: Dataset, world: World, history: np.ndarray) -> np.ndarray:
    """What somebody would score who knows every topic and style and how users walk, (V,)."""
    behaviour = Behaviour()
    topic_names, style_names = [t.name for t in world.topics], [s.name for s in world.styles]
    topics_V = np.array([topic_names.index(name) for name in dataset.catalog.column("topic")])
    styles_V = np.array([style_names.index(name) for name in dataset.catalog.column("style")])
    last = topics_V[history[-1]]
    met_T = np.bincount(topics_V[history], minlength=len(topic_names)) + 0.2
    chance_T = behaviour.follow * world.transitions_TT[last] + behaviour.explore / len(topic_names)
    chance_T = chance_T + (1 - behaviour.follow - behaviour.stay - behaviour.explore) * met_T / met_T.sum()
    chance_T[last] += behaviour.stay
    met_S = np.bincount(styles_V[history], minlength=len(style_names)) + 0.2
    scores_V: np.ndarray = chance_T[topics_V] * met_S[styles_V]
    return scores_V


def _hit_rates(dataset: Dataset, world: World) -> tuple[float, float]:
    """HR@10 of the oracle and of popularity, on the last event of every user."""
    split = leave_one_out(dataset.interactions)
    counts_V = split.train_counts(len(dataset.catalog)).astype(float)
    oracle, popularity = [], []
    for user, position in zip(split.test.users, split.test.positions, strict=True):
        history = dataset.interactions.rows[dataset.interactions.offsets[user] : position]
        target = dataset.interactions.rows[position]
        oracle.append(_hit(_oracle_scores(dataset, world, history), history, target))
        popularity.append(_hit(counts_V.copy(), history, target))
    return float(np.mean(oracle)), float(np.mean(popularity))


def _hit(scores_V: np.ndarray, history: np.ndarray, target: int) -> bool:
    scores_V[history] = -np.inf
    above, equal = (scores_V > scores_V[target]).sum(), (scores_V == scores_V[target]).sum() - 1
    return bool(above + equal / 2 < 10)


def _texts(dataset: Dataset, label: str) -> tuple[list[set[str]], list[str]]:
    rows = np.flatnonzero(dataset.catalog.presence["text"])
    bags = [_tokens(item.text or "") for item in dataset.catalog.items(rows)]
    return bags, dataset.catalog.column(label).gather(rows).to_list()


def _tokens(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


def _read(known: Sequence[set[str]], labels: Sequence[str], asked: Sequence[set[str]], truth: Sequence[str]) -> float:
    """Accuracy of a ridge regression from bags of words to labels."""
    words = sorted(set().union(*known))
    names = np.unique(labels)
    x_NW, asked_MW = (np.array([[word in bag for word in words] for bag in bags], dtype=float) for bags in (known, asked))
    y_NC = (np.array(labels)[:, None] == names[None, :]) - 1 / len(names)
    weights_WC = np.linalg.solve(x_NW.T @ x_NW + np.eye(len(words)), x_NW.T @ y_NC)
    return float((names[(asked_MW @ weights_WC).argmax(axis=1)] == np.array(truth)).mean())


def _colours(dataset: Dataset, label: str) -> tuple[np.ndarray, np.ndarray]:
    """The histogram of the hues of vivid pixels in the middle (topic), or the mean colour of the border (style)."""
    rows = np.flatnonzero(dataset.catalog.presence["image"])
    features = []
    for item in dataset.catalog.items(rows):
        assert item.image is not None
        pixels = np.asarray(Image.open(io.BytesIO(item.image)).convert("HSV" if label == "topic" else "RGB"), dtype=float)
        if label == "style":
            features.append(np.concatenate([pixels[[0, -1]].mean(axis=(0, 1)), pixels.std(axis=(0, 1))]))
            continue
        hue, saturation, value = pixels[8:24, 8:24].reshape(-1, 3).T
        weights = ((saturation > 100) & (value > 150)).astype(float)
        counts, _ = np.histogram(hue, bins=24, range=(0, 256), weights=weights)
        features.append(np.sqrt(counts / max(1.0, weights.sum())))
    return np.array(features), dataset.catalog.column(label).gather(rows).to_numpy()


def _nearest_mean(known: np.ndarray, labels: np.ndarray, asked: np.ndarray, truth: np.ndarray) -> float:
    """Accuracy of the classifier that chooses the class with the nearest mean."""
    names = np.unique(labels)
    means = np.stack([known[labels == name].mean(axis=0) for name in names])
    distances = ((asked[:, None, :] - means[None]) ** 2).sum(axis=2)
    return float((names[distances.argmin(axis=1)] == truth).mean())


def _content_words(words: Words) -> set[str]:
    return set().union(*(_tokens(word) for word in words.all)) - SMALL_WORDS


def _vocabulary(world: World) -> set[str]:
    topics = [_content_words(t.things) | _content_words(t.acts) for t in world.topics]
    return set().union(*topics, *(_content_words(s.words) for s in world.styles))
