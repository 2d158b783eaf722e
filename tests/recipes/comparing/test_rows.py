from __future__ import annotations

from pathlib import Path

import pytest
from cases import platform
from comparing_ground import Ground, asked, make_ground, text_run, trained

from transrec.data.catalog import Catalog, Item
from transrec.data.dataset import Dataset
from transrec.errors import RunError
from transrec.recipes.comparing.bench import Bench
from transrec.recipes.comparing.rows import possible_rows
from transrec.recipes.comparing.variants import FromScratch, Transferred, TransferredWithIds


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return make_ground(tmp_path_factory.mktemp("ground"))


def test_rows_come_in_the_order_asked_for_with_the_run_s_tuning(ground: Ground) -> None:
    rows, left_out = possible_rows(asked(rows="transferred,scratch,ease"), ground.bench())
    assert [row.name for row in rows] == ["transferred", "scratch", "ease"] and not left_out
    assert rows[0].made == Transferred("full") and rows[1].made == FromScratch(tune="full")


def test_a_row_for_each_tuning_rule(ground: Ground) -> None:
    rows, _ = possible_rows(asked(rows="transferred", tune="full,frozen"), ground.bench())
    assert [(row.name, row.made) for row in rows] == [
        ("transferred-full", Transferred("full")),
        ("transferred-frozen", Transferred("frozen")),
    ]
    [row] = possible_rows(asked(rows="transferred", tune="frozen"), ground.bench())[0]
    assert (row.name, row.made) == ("transferred", Transferred("frozen"))


def test_frozen_is_left_out_where_nothing_could_learn(ground: Ground) -> None:
    _, left_out = possible_rows(asked(), ground.bench())
    assert list(left_out) == ["frozen"] and "nothing in the run's encoders could learn" in left_out["frozen"]
    rows, left_out = possible_rows(asked(rows="frozen"), ground.bench())
    assert [row.name for row in rows] == ["frozen"] and not left_out, "alone it is not a repetition"


@pytest.mark.parametrize(("tune", "names"), [("frozen", ["frozen"]), ("full", [])])
def test_frozen_is_left_out_where_the_run_was_frozen(tmp_path: Path, tune: str, names: list[str]) -> None:
    _, target, run = text_run(tmp_path, tune=tune)
    assert list(possible_rows(asked(), Bench.open(run, target, asked()))[1]) == names


def test_a_run_that_knows_identities_alone_has_no_zero_shot(ground: Ground, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", ground.source, model={"items": {"width": 16, "modalities": ["identity"]}})
    rows, left_out = possible_rows(asked(), Bench.open(run, ground.target, asked()))
    assert "identity" in left_out["zero-shot"] and "scratch" in left_out
    assert {"transferred", "identity"} <= {row.name for row in rows}


def test_a_target_without_what_the_run_reads_has_simple_rows_only(ground: Ground) -> None:
    texts = Catalog.from_items([Item(id=f"t{n}", text=f"text {n}") for n in range(50)])
    bench = Bench.open(ground.run, Dataset(texts, platform(seed=9).interactions, name="texts"), asked())
    rows, left_out = possible_rows(asked(), bench)
    assert {row.name for row in rows} == {"popularity", "markov", "ease", "identity"}
    assert left_out["scratch"] == left_out["transferred"] == "the target has nothing of what the run reads"
    assert bench.unread == ("text",)
    with pytest.raises(RunError, match="no row is left"):
        possible_rows(asked(rows="scratch,zero-shot"), bench)


def test_an_encoder_that_was_given_as_a_part_cannot_be_built_anew(ground: Ground) -> None:
    bench = ground.bench()
    encoder = bench.model.items.encoders["given"]
    encoder.__class__ = type("Own", (type(encoder),), {})
    with pytest.raises(RunError, match="given as parts") as caught:
        possible_rows(asked(), bench)
    assert "model.items.custom" in str(caught.value)
    rows, _ = possible_rows(asked(rows="zero-shot,transferred,identity"), bench)
    assert len(rows) == 3, "these need not build it"


def test_ids_stand_beside_content_or_the_row_is_left_out(ground: Ground) -> None:
    wanted = asked(rows="transferred-identity,scratch", tune="frozen,full")
    rows, left_out = possible_rows(wanted, ground.bench())
    assert rows[0].made == TransferredWithIds("frozen") and not left_out
    texts = Catalog.from_items([Item(id=f"t{n}", text=f"text {n}") for n in range(50)])
    bench = Bench.open(ground.run, Dataset(texts, platform(seed=9).interactions, name="texts"), wanted)
    with pytest.raises(RunError, match="the target has nothing that ids could stand beside"):
        possible_rows(wanted, bench)
