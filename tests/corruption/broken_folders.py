"""Dataset folders and run folders that are incomplete, damaged, of another version, or no longer where they were."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import safetensors.torch
from corruption.broken import (
    RECOMMEND,
    TRAIN,
    Refused,
    Spoils,
    a_folder_at,
    both,
    cut_after,
    cut_short,
    nothing,
    with_instead,
    with_lines,
    with_text,
    without,
)

EVALUATE = "evaluate run --no-baselines --device cpu"
ON_OTHER = "recommend run --data other --history i1,i2"


def _newer(name: str) -> Spoils:
    def spoil(folder: Path) -> None:
        document = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**document, "format": 99}))

    return spoil


def _events(**columns: list[object]) -> Spoils:
    """A dataset whose file of events is another table."""

    def spoil(folder: Path) -> None:
        pl.DataFrame(columns).write_parquet(folder / "data" / "interactions.parquet")

    return spoil


def _no_versions(folder: Path) -> None:
    shutil.rmtree(folder / "data" / "catalog.lance" / "_versions")


def _no_rows(folder: Path) -> None:
    shutil.rmtree(folder / "data" / "catalog.lance" / "data")


def _cut_rows(folder: Path) -> None:
    for path in (folder / "data" / "catalog.lance" / "data").iterdir():
        path.write_bytes(path.read_bytes()[:50])


def _fewer_events(folder: Path) -> None:
    path = folder / "data" / "interactions.parquet"
    pl.read_parquet(path).head(-1).write_parquet(path)


def _without_weights(name: str) -> Spoils:
    """Weights of which those of this name are not there."""

    def spoil(folder: Path) -> None:
        path = folder / "run" / "model.safetensors"
        kept = {own: tensor for own, tensor in safetensors.torch.load_file(path).items() if not own.startswith(name)}
        safetensors.torch.save_file(kept, path)

    return spoil


def _other_shapes(folder: Path) -> None:
    path = folder / "run" / "model.safetensors"
    safetensors.torch.save_file(
        {name: t.repeat(2) if t.ndim == 1 else t for name, t in safetensors.torch.load_file(path).items()}, path
    )


def _damaged(name: str) -> Spoils:
    """A file in the middle of which some bytes are others."""

    def spoil(folder: Path) -> None:
        [path] = folder.glob(name)
        content = bytearray(path.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 8] = bytes(255 - byte for byte in content[middle : middle + 8])
        path.write_bytes(content)

    return spoil


def _changed_items(folder: Path) -> None:
    """A run with a journal of two changes."""
    from transrec.serving.recommender import Recommender

    recommender = Recommender.load(folder / "run")
    recommender.remove(["i5"])
    recommender.remove(["i6"])
    recommender.close()


def _cut_vectors(folder: Path) -> None:
    [path] = folder.glob("run/index/data/vectors-*/vectors.npy")
    path.write_bytes(path.read_bytes()[:40])


JOURNAL = "run/index/data/changes.journal"
DATASETS = (
    Refused("no dataset folder", without("data"), TRAIN, ("data is not a dataset folder", "transrec ingest")),
    Refused("file for a dataset", both(without("data"), with_text("data", "x")), TRAIN, ("data is not a dataset", "ingest")),
    Refused("no dataset.json", without("data/dataset.json"), TRAIN, ("no dataset.json", "transrec ingest")),
    Refused(
        "dataset.json cut short", cut_short("data/dataset.json"), TRAIN, ("dataset.json", "data", "ingest the data again")
    ),
    Refused(
        "dataset.json is a list", with_text("data/dataset.json", "[]"), TRAIN, ("dataset.json", "ingest the data again")
    ),
    Refused("dataset.json is no text", with_text("data/dataset.json", b"\xff\xfe\0"), TRAIN, ("dataset.json", "ingest")),
    Refused("newer dataset", _newer("data/dataset.json"), TRAIN, ("format 99", "[data]", "upgrade transrec")),
    Refused("no catalog", without("data/catalog.lance"), TRAIN, ("no catalog", "data/catalog.lance", "transrec ingest")),
    Refused(
        "file for a catalog",
        both(without("data/catalog.lance"), with_text("data/catalog.lance", "x")),
        TRAIN,
        ("data/catalog.lance", "ingest"),
    ),
    Refused("catalog without versions", _no_versions, TRAIN, ("catalog", "data/catalog.lance", "ingest")),
    Refused("catalog without rows", _no_rows, TRAIN, ("catalog", "data/catalog.lance", "ingest")),
    Refused("catalog cut short", _cut_rows, TRAIN, ("catalog", "data/catalog.lance", "ingest")),
    Refused(
        "no interactions", without("data/interactions.parquet"), TRAIN, ("data/interactions.parquet", "transrec ingest")
    ),
    Refused(
        "interactions cut short", cut_short("data/interactions.parquet"), TRAIN, ("data/interactions.parquet", "ingest")
    ),
    Refused(
        "folder for interactions", a_folder_at("data/interactions.parquet"), TRAIN, ("data/interactions.parquet", "ingest")
    ),
    Refused(
        "interactions without items", _events(user=["a"], time=[1.0]), TRAIN, ("data/interactions.parquet", "row", "ingest")
    ),
    Refused(
        "interactions of items that are not there",
        _events(user=["a"] * 9, row=[*range(8), 99], time=[float(n) for n in range(9)]),
        TRAIN,
        ("data", "99", "ingest"),
    ),
    Refused("rejects that are no table", cut_short("data/rejects.parquet"), "check data", ("data/rejects.parquet",)),
)
RUNS = (
    Refused("no run folder", without("run"), RECOMMEND, ("run is not a run folder", "transrec train")),
    Refused("no settings.yaml", without("run/settings.yaml"), RECOMMEND, ("no settings.yaml", "transrec train")),
    Refused(
        "settings.yaml of something else",
        with_text("run/settings.yaml", "a: 1\n"),
        RECOMMEND,
        ("settings.yaml", "model", "[run]"),
    ),
    Refused(
        "settings.yaml is no mapping", with_text("run/settings.yaml", "- 1\n"), RECOMMEND, ("run/settings.yaml", "a mapping")
    ),
    Refused("settings.yaml cut short", cut_after("run/settings.yaml", "items:"), RECOMMEND, ("run/settings.yaml",)),
    Refused(
        "newer run",
        with_instead("run/settings.yaml", "format: 2", "format: 99"),
        RECOMMEND,
        ("format 99", "[run]", "upgrade"),
    ),
    Refused(
        "older run", with_instead("run/settings.yaml", "format: 2", "format: 1"), RECOMMEND, ("earlier version", "[run]")
    ),
    Refused(
        "format that is a word",
        with_instead("run/settings.yaml", "format: 2", "format: two"),
        RECOMMEND,
        ("does not describe a model", "[run]", "copy the run folder"),
    ),
    Refused(
        "unknown part",
        with_instead("run/settings.yaml", "scorer: cosine", "scorer: taste"),
        RECOMMEND,
        ("run/settings.yaml", "scorer", "cosine"),
    ),
    Refused(
        "another width",
        with_instead("run/settings.yaml", "width: 16", "width: 8"),
        RECOMMEND,
        ("do not fit", "run/model.safetensors", "same run"),
    ),
    Refused("no weights", without("run/model.safetensors"), RECOMMEND, ("no model.safetensors", "[run]", "copy")),
    Refused(
        "empty weights",
        with_text("run/model.safetensors", ""),
        RECOMMEND,
        ("weights are damaged", "run/model.safetensors", "copy"),
    ),
    Refused(
        "weights cut short",
        cut_short("run/model.safetensors"),
        RECOMMEND,
        ("weights are damaged", "run/model.safetensors", "copy"),
    ),
    Refused("folder for weights", a_folder_at("run/model.safetensors"), RECOMMEND, ("run/model.safetensors", "copy")),
    Refused("weights that are missing", _without_weights("users."), RECOMMEND, ("do not fit", "users.", "same run")),
    Refused("weights of another shape", _other_shapes, RECOMMEND, ("do not fit", "run/model.safetensors", "same run")),
    Refused("no encoders", without("run/encoders"), RECOMMEND, ("no encoders", "run/encoders", "copy the whole run")),
    Refused("an encoder is missing", without("run/encoders/image"), RECOMMEND, ("image", "run/encoders", "copy")),
    Refused(
        "encoder.json is damaged",
        cut_short("run/encoders/text/encoder.json"),
        RECOMMEND,
        ("run/encoders/text/encoder.json", "copy"),
    ),
    Refused("newer encoder", _newer("run/encoders/text/encoder.json"), RECOMMEND, ("format 99", "upgrade")),
    Refused(
        "encoder of an unknown class",
        with_instead("run/encoders/given/encoder.json", "FeatureEncoder", "Guess"),
        RECOMMEND,
        ("Guess",),
    ),
    Refused("no encoder.yaml", without("run/encoders/text/encoder.yaml"), RECOMMEND, ("run/encoders/text",)),
    Refused("no backbone.json", without("run/encoders/text/backbone.json"), RECOMMEND, ("run/encoders/text", "copy")),
    Refused("no config.json in the run", without("run/encoders/text/config.json"), RECOMMEND, ("run/encoders/text", "copy")),
    Refused("no tokenizer in the run", without("run/encoders/text/tokenizer.json"), RECOMMEND, ("run/encoders/text",)),
    Refused("tokenizer cut short", cut_short("run/encoders/text/tokenizer.json"), RECOMMEND, ("run/encoders/text",)),
    Refused(
        "no processor in the run", without("run/encoders/image/preprocessor_config.json"), RECOMMEND, ("run/encoders/image",)
    ),
    Refused("dataset moved", without("data"), RECOMMEND, ("'data'", "no longer at", "--data DATA")),
    Refused("dataset changed", _fewer_events, RECOMMEND, ("has changed since", "[run]", "train again")),
    Refused("dataset changed, in evaluate", _fewer_events, EVALUATE, ("has changed since", "[run]", "train again")),
    Refused(
        "a model without its origin",
        with_instead("run/settings.yaml", "\nrun:", "\nruns:"),
        RECOMMEND,
        ("where it came from", "--data DATA"),
    ),
    Refused(
        "origin is damaged",
        with_instead("run/settings.yaml", "fingerprint:", "print:"),
        RECOMMEND,
        ("run/settings.yaml", "print"),
    ),
    Refused("journal is damaged", both(_changed_items, _damaged(JOURNAL)), RECOMMEND, ("journal", JOURNAL, "remove it")),
    Refused(
        "journal of something else", with_text(JOURNAL, "a diary\n"), RECOMMEND, ("no journal", JOURNAL, "remove the file")
    ),
    Refused("kept vectors cut short", _cut_vectors, RECOMMEND, ("index is damaged", "run/index/data", "remove the folder")),
    Refused(
        "parameters.json is damaged", cut_short("run/parameters.json"), "report run --out new.html", ("run/parameters.json",)
    ),
    Refused(
        "parameters.json is damaged, in resume",
        cut_short("run/parameters.json"),
        "train data --config small.yaml --out run --resume",
        ("run/parameters.json",),
    ),
    Refused("resume without a run", nothing, TRAIN + " --resume", ("new", "it is not there")),
    Refused(
        "resume with other settings",
        nothing,
        "train data --config small.yaml --out run --resume --tune full",
        ("another", "run", "same data and settings"),
    ),
    Refused(
        "baseline table is no table", with_lines("run/settings.yaml", "x: ["), EVALUATE, ("run/settings.yaml", "not YAML")
    ),
)
REFUSED = (*DATASETS, *RUNS)
