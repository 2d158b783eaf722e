"""What this version and those before it wrote is read by this version; what it cannot read it refuses, with what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from golden_formats import formats_in_code
from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.sealing import damage
from transrec.data.stamping import stamp_damage
from transrec.data.store import ContentStore
from transrec.errors import DataError, RunError
from transrec.evaluation.metrics import metric_columns
from transrec.evaluation.ranks import RankedTargets
from transrec.export.manifest import Manifest
from transrec.model import TransRec
from transrec.recipes.forgetting import require_remembered
from transrec.recipes.index import index
from transrec.runs import RunRecord, read_sources
from transrec.serving.recommender import Recommender
from transrec.training.checkpoint import load_checkpoint, sound_checkpoint

HERE = Path(__file__).parent
SETS = sorted((path for path in HERE.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))
QUIET = Console(quiet=True)


@pytest.fixture(scope="module", params=SETS, ids=lambda path: path.name)
def golden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a golden folder, as reading keeps what it makes."""
    folder = tmp_path_factory.mktemp("golden") / "set"
    shutil.copytree(request.param, folder)
    return folder


def expected(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "expected.json").read_text())
    return found


def test_the_newest_golden_files_are_of_the_formats_that_the_code_writes() -> None:
    told = (
        "a format has another number than in the newest golden files: make new ones, PYTHONPATH=tests python "
        f"tests/golden/make.py {len(SETS) + 1}, and see to it that the older ones are read, or refused with what to do"
    )
    assert expected(SETS[-1])["formats"] == formats_in_code(), told


def test_golden_files_are_small() -> None:
    assert sum(path.stat().st_size for own in SETS for path in own.rglob("*") if path.is_file()) < 400_000


def test_the_dataset_is_what_it_was(golden: Path) -> None:
    data = Dataset.open(golden / "data")
    assert data.fingerprint == data.manifest["fingerprint"] == expected(golden)["fingerprint"]
    [item] = data.catalog.items([2])
    assert item.text and item.image and item.image[1:4] == b"PNG" and data.catalog.titles([3]) == ["thing 3"]
    assert data.interactions.users.to_list()[:2] == ["u0", "u1"] and data.interactions.times.min() == 1.7e9


def test_the_store_is_used_as_it_is(golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepared(*_: object, **__: object) -> None:
        raise AssertionError("the content is prepared again")

    monkeypatch.setattr("transrec.data.store.prepare_all", prepared)
    data = Dataset.open(golden / "data")
    store = ContentStore.prepare(data.catalog, TransRec.load(golden / "run").items.preparers(), data.store_folder)
    batch = store.gather(np.arange(len(data.catalog)))
    assert {name: len(part.index_n) for name, part in batch.parts.items()} == {"text": 12, "image": 12, "given": 9}


def test_the_run_recommends_what_it_did(golden: Path) -> None:
    """From its weights, its index and its journal: an item was added and one was removed."""
    assert stamp_damage(golden / "run" / "model.safetensors") is None
    kept = index(golden / "run", golden / "data", console=QUIET)
    assert kept.encoded == 0 and len(kept.vectors) == 18
    recommender = Recommender.load(golden / "run", golden / "data")
    told = expected(golden)
    for item_id, found in told["recommended"].items():
        items = recommender.recommend([item_id, "i5"], k=len(found)).items
        assert [item.id for item in items] == [own for own, _ in found]
        assert [item.score for item in items] == pytest.approx([score for _, score in found], abs=1e-4)
    for item_id, vector in told["vectors"].items():
        [row] = recommender.catalog.rows([item_id])
        assert recommender.index.vectors_VD[int(row)].tolist() == pytest.approx(vector, abs=1e-5)
    assert recommender.holds("new") and not recommender.holds("i2")
    recommender.close()


def test_without_its_index_the_run_makes_the_same_vectors(golden: Path) -> None:
    recommender = Recommender.load(golden / "run", golden / "data", keep=False)
    for item_id, vector in expected(golden)["vectors"].items():
        if item_id != "new":
            [row] = recommender.catalog.rows([item_id])
            assert recommender.index.vectors_VD[int(row)].tolist() == pytest.approx(vector, abs=1e-4)


def test_the_record_the_parameters_and_the_numbers_are_read(golden: Path) -> None:
    record = RunRecord.read(golden / "run")
    assert record.data[0].fingerprint == expected(golden)["fingerprint"] and record.training["seed"] == 1
    sources = read_sources(golden / "run")
    assert set(sources) >= {name for name, _ in TransRec.load(golden / "run").named_parameters()}
    document = json.loads((golden / "run" / "evaluation" / "golden.json").read_text())
    ranked = RankedTargets.open(golden / "run" / "evaluation" / "golden.ranks.parquet")
    told = document["evaluations"][0]["overall"]["metrics"]["NDCG@10"]["value"]
    assert metric_columns(ranked.ranks, (10,))["NDCG@10"].mean() == pytest.approx(told)
    assert len(pl.read_ndjson(golden / "run" / "metrics.jsonl", infer_schema_length=None))


def test_the_checkpoint_is_sound_and_goes_on(golden: Path) -> None:
    place = sound_checkpoint(golden / "run" / "checkpoints")
    assert place.name == "last" and damage(golden / "run" / "checkpoints" / "best") is None
    model = TransRec.load(golden / "run")
    learning = [p for name, p in model.named_parameters() if not name.startswith("items.encoders")]
    optimiser = torch.optim.AdamW(learning)
    progress = load_checkpoint(place, model, optimiser)
    logged = pl.read_ndjson(golden / "run" / "metrics.jsonl", infer_schema_length=None)
    assert progress.step == logged["step"].max() > 0 and 0 < progress.best <= 1
    assert {int(own["step"]) for own in optimiser.state.values()} == {progress.step}


def test_a_run_that_went_on_tells_what_it_has_forgotten(golden: Path) -> None:
    require_remembered(golden / "later", console=QUIET)
    assert RunRecord.read(golden / "later").continuing["replay"] == 0.5
    assert json.loads((golden / "later" / "continued.json").read_text())["check"]["users"] == 6


def test_an_exported_manifest_is_read(golden: Path) -> None:
    manifest = Manifest.from_mapping(json.loads((golden / "export" / "manifest.json").read_text()))
    assert set(manifest.items) == {"text", "image", "given"} and manifest.vectors.items == 18


# ---- other versions ---------------------------------------------------------------------------------------------------


def with_number(path: Path, number: int) -> None:
    """Give the document in a file another format."""
    document = yaml.safe_load(path.read_text())
    document["format"] = number
    path.write_text(json.dumps(document))


def with_journal(path: Path, number: int) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(b"journal 1\n", b"journal %d\n" % number, 1))


def opened(folder: Path) -> object:
    return Dataset.open(folder / "data")


def loaded(folder: Path) -> object:
    return Recommender.load(folder / "run", folder / "data")


def remembered(folder: Path) -> object:
    return require_remembered(folder / "later", console=QUIET)


Reads = Callable[[Path], object]
REFUSED: dict[str, tuple[str, int, Reads, str]] = {
    "a newer dataset": ("data/dataset.json", 99, opened, r"format 99, .* reads up to \d+.*upgrade transrec, or ingest"),
    "a newer run": ("run/settings.yaml", 99, loaded, r"format 99, .* reads up to \d+.*upgrade transrec"),
    "an older run": ("run/settings.yaml", 1, loaded, "made by an earlier version.*train it again"),
    "a newer encoder": ("run/encoders/text/encoder.json", 99, loaded, "written in format 99.*upgrade transrec"),
    "a newer journal": ("run/index/golden/changes.journal", 9, loaded, "no journal of this version.*upgrade transrec"),
    "a newer check": ("later/continued.json", 99, remembered, r"format 99, .* reads up to \d+.*upgrade transrec"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_another_version_is_refused_with_what_to_do(name: str, tmp_path: Path) -> None:
    file, number, reads, told = REFUSED[name]
    shutil.copytree(SETS[-1], tmp_path / "set")
    reads(tmp_path / "set")  # as it is it is read
    path = tmp_path / "set" / file
    (with_journal if path.suffix == ".journal" else with_number)(path, number)
    with pytest.raises((DataError, RunError), match=f"(?s){told}"):
        reads(tmp_path / "set")


def test_vectors_of_another_version_are_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(SETS[-1], tmp_path / "set")
    monkeypatch.setattr("transrec.retrieval.kept.FORMAT", 99)
    assert index(tmp_path / "set" / "run", tmp_path / "set" / "data", console=QUIET).encoded == 0  # content is known again
    [kept] = (tmp_path / "set" / "run" / "index" / "golden").glob("vectors-*")
    assert kept.name not in {path.name for path in (SETS[-1] / "run" / "index" / "golden").iterdir()}


def test_a_checkpoint_of_a_newer_version_is_not_gone_on_with(tmp_path: Path) -> None:
    shutil.copytree(SETS[-1] / "run" / "checkpoints", tmp_path / "checkpoints")
    with_number(tmp_path / "checkpoints" / "last" / "seal.json", 99)
    with pytest.raises(RunError, match=r"(?s)format 99, .* reads up to 1.*train again in another folder"):
        sound_checkpoint(tmp_path / "checkpoints")
