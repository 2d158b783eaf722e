"""Lists of all users and exports from the command line."""

import polars as pl
import pytest
from cases import SETTINGS, platform

from transrec.cli import app
from transrec.errors import RunError, SettingsError
from transrec.model import TransRec


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ground")
    dataset = platform().save(folder / "data")
    TransRec.build(SETTINGS, [dataset.catalog], seed=0).save(folder / "run")
    return folder


def run(*words):
    app([str(word) for word in words], result_action="return_value")


def test_all_users_get_a_list(ground, tmp_path, capsys):
    words = ("recommend", ground / "run", "--data", ground / "data", "--all", "--out", tmp_path / "new" / "lists.parquet")
    run(*words, "--k", 3, "--exclude", "i1,i2", "--seen")
    assert "40 users have their lists in" in capsys.readouterr().out
    table = pl.read_parquet(tmp_path / "new" / "lists.parquet")
    assert len(table) == 120 and not {"i1", "i2"} & set(table["item_id"])
    with pytest.raises(RunError, match="is there already"):
        run(*words)
    run(*words, "--overwrite")
    assert len(pl.read_parquet(tmp_path / "new" / "lists.parquet")) == 400


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--all"], "give --out FILE.parquet"),
        (["--all", "--out", "x.parquet", "--history", "i1"], "leave out --history"),
        ([], "it is not said for whom"),
        (["--history", "i1", "--out", "x.parquet"], "belong to --all"),
        (["--all", "--out", "x.parquet", "--k", "0"], "greater than or equal to 1"),
    ],
)
def test_what_does_not_go_together_is_said(ground, words, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=told):
        run("recommend", ground / "run", "--data", ground / "data", *words)
    assert not list(tmp_path.iterdir())
