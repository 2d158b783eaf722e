"""``--cluster`` and ``--workers`` on the command line: what they lead to, and what they do not go with."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from transrec.cli import app
from transrec.cluster.asked import Cluster
from transrec.errors import SettingsError

ON = ["--cluster", "10.0.0.7:6379", "--workers", "3"]
VERBS = {
    "train": (["train", "data", "--out", "run"], "train_on", "train_recipe"),
    "transfer": (["transfer", "run", "data", "--out", "run2"], "transfer_on", "transfer_recipe"),
    "index": (["index", "run"], "index_on", "index_recipe"),
    "recommend": (["recommend", "run", "--all", "--out", "lists.parquet"], "recommend_all_on", "recommend_all"),
}


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[Any, ...]]]:
    """Which recipes were called, with what."""
    calls: list[tuple[str, tuple[Any, ...]]] = []
    for verb, (_, there, here) in VERBS.items():
        module = import_module(f"transrec.cli.{verb}")
        for name in (there, here):
            monkeypatch.setattr(module, name, lambda *given, _name=name, **_: calls.append((_name, given)))
    return calls


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_goes_to_the_cluster_if_one_is_asked_for(verb: str, called: list[tuple[str, tuple[Any, ...]]]) -> None:
    words, there, here = VERBS[verb]
    app([*words, *ON], result_action="return_value")
    app(words, result_action="return_value")
    (first, given), (second, without) = called
    assert (first, second) == (there, here)
    assert given == (Cluster("10.0.0.7:6379", 3), *without)


@pytest.mark.parametrize("verb", VERBS)
def test_one_flag_without_the_other_is_told(verb: str, called: list[tuple[str, tuple[Any, ...]]]) -> None:
    words, _, _ = VERBS[verb]
    for some, told in ((ON[:2], "add --workers N"), (ON[2:], "--cluster local")):
        with pytest.raises(SettingsError, match=told):
            app([*words, *some], result_action="return_value", exit_on_error=False)
    assert not called


def test_a_list_for_one_history_takes_no_cluster(called: list[tuple[str, tuple[Any, ...]]]) -> None:
    with pytest.raises(SettingsError, match="--cluster belong to --all"):
        app(["recommend", "run", "--history", "a,b", *ON], result_action="return_value", exit_on_error=False)
    assert not called


def test_going_on_takes_no_cluster(called: list[tuple[str, tuple[Any, ...]]], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="a run goes on on one machine"):
        app(
            ["train", "data", "--out", "run", "--from", str(tmp_path), *ON],
            result_action="return_value",
            exit_on_error=False,
        )
    assert not called
