"""Places that cannot be written: taken, below a file, or not ours."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from corruption.broken import INGEST, RECOMMEND, TRAIN, Refused, nothing, with_lines, with_text

from transrec.data.dataset import Dataset
from transrec.data.interactions import Interactions

MOVE = "transfer run data --training.device cpu --training.max-steps 1 --out "
ALL = "recommend run --all --out "
GROW = "ingest --interactions views.csv --items items.csv --vectors given=given --out data"


def _one_event(folder: Path) -> None:
    """A dataset of which nothing can be learned."""
    data = Dataset.open(folder / "data")
    events = pl.DataFrame({"user": ["u1"], "row": [0], "time": [5.0]})
    Dataset(data.catalog, Interactions.from_columns(events), "one").save(folder / "one")


def _widened(folder: Path) -> None:
    """Vectors that got another width after the dataset was made."""
    lines = (folder / "items.csv").read_text().splitlines()
    (folder / "items.csv").write_text("\n".join([lines[0], *(line.rsplit(",", 1)[0] + ",1 2" for line in lines[1:])]))


STUDY = "study kinds run --data data"
SOURCES = "study sources data --target data --config small.yaml"

REFUSED = (
    Refused(
        "one user with one event",
        _one_event,
        TRAIN.replace("data", "one"),
        ("none of the 1 users has three events", "split by time"),
    ),
    Refused("out is taken, ingest", with_text("new/x", "mine"), INGEST, ("new is there already", "--out")),
    Refused("out is a file, ingest", with_text("new", "mine"), INGEST, ("new is there already", "--out")),
    Refused("out below a file, ingest", with_text("new", "mine"), INGEST + "/data", ("new", "--out")),
    Refused("out is taken, train", with_text("new/x", "mine"), TRAIN, ("new is there already", "--out", "--resume")),
    Refused("out is a file, train", with_text("new", "mine"), TRAIN, ("new", "--out")),
    Refused("out below a file, train", with_text("new", "mine"), TRAIN + "/run", ("new/run", "--out")),
    Refused("out is a dataset, train", nothing, "train data --config small.yaml --out data", ("data is there", "--out")),
    Refused("out is taken, transfer", nothing, MOVE + "run", ("run is there already", "--out")),
    Refused("out below a file, transfer", with_text("new", "mine"), MOVE + "new/run", ("new/run", "--out")),
    Refused("out is taken, export", with_text("new/x", "mine"), "export run --out new", ("new is there already", "--out")),
    Refused("out below a file, export", with_text("new", "mine"), "export run --out new/x", ("new/x", "--out")),
    Refused(
        "lists are there",
        with_text("new.parquet", "mine"),
        ALL + "new.parquet",
        ("new.parquet is there already", "--overwrite"),
    ),
    Refused("lists below a file", with_text("new", "mine"), ALL + "new/x.parquet", ("new/x.parquet", "--out")),
    Refused("lists into a folder", with_text("new/x", "mine"), ALL + "new", ("new",)),
    Refused("lists for k = 0", nothing, ALL + "new.parquet --k 0", ("k", "greater than or equal to 1")),
    Refused("filter that is none, for all", nothing, ALL + "new.parquet --where price<<5", ("price<<5", "compares columns")),
    Refused("report below a file", with_text("new", "mine"), "report run --out new/x.html", ("new/x.html", "--out")),
    Refused("report over a folder", with_text("new/x", "mine"), "report run --out new", ("new",)),
    *(
        Refused(f"{how}, {command.partition(' run')[0]}", with_text("new", "mine"), f"{command} --out {out}", (out, "--out"))
        for command in ("compare run --data data", STUDY, STUDY.replace("kinds", "fractions"), SOURCES, "demo")
        for how, out in (("out is a file", "new"), ("out below a file", "new/x"))
    ),
    Refused("plots into a file", with_text("new", "mine"), "check data --plots new", ("new", "--plots")),
    Refused("run is a file", with_text("new", "mine"), RECOMMEND.replace("run", "new"), ("new", "transrec train")),
    Refused("data is a run", nothing, TRAIN.replace("data", "run"), ("run is not a dataset folder", "transrec ingest")),
    Refused("run is a dataset", nothing, RECOMMEND.replace("run", "data"), ("data is not a run folder", "transrec train")),
    Refused("vectors of another width, in a second ingest", _widened, GROW, ("given", "same width")),
    Refused(
        "other pictures in a second ingest",
        nothing,
        GROW + " --images pictures --picture-side 32",
        ("--picture-side 256", "data"),
    ),
    Refused(
        "strict in a second ingest", with_lines("views.csv", "u1,nobody,5"), GROW + " --strict", ("unknown item", "row 49")
    ),
)
