"""Every verb on four real platforms, by the command line, as a new user would; docs/results.md holds what came out.

The platforms share no user and no item: films with posters (MovieLens ratings), a week of fashion purchases with photos
(H&M), books (goodbooks-10k) and office products (Amazon reviews). Each is a folder with ``interactions.csv``, ``items.csv``
and perhaps ``images/`` below ``--data-root``; docs/results.md says where they come from. Their terms forbid publishing them,
so they are not part of this repository.

::

    PYTHONPATH=. python experiments/real.py --data-root DATA --minilm FOLDER --squeezenet FILE --out OUT

It can be interrupted: what is done is not done again, and a training resumes. ``--only films office`` does a part. Runs are
in ``OUT/runs``, documents and figures of the comparisons in ``OUT/results``, each named with a digest of what decides it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.keeping import name_of

from transrec import Dataset, TrainSettings
from transrec.runs import CARD

HERE = Path(__file__).parent
CONFIG = HERE / "real.yaml"

PLATFORMS = {
    "films": ("movielens_posters", "{title}. {genres}. {description}", True),
    "fashion": ("hm_week", "{title}. {attributes}. {description}", True),
    "books": ("goodbooks", "{title}. {authors}", False),
    "office": ("amazon_office", "{title}. {description}", False),
}
"""By name: the folder, the text template, and whether there are pictures."""

SOURCES = {
    "fashion": ("fashion",),
    "films": ("films",),
    "films+fashion": ("films", "fashion"),
    "films+fashion+books": ("films", "fashion", "books"),
}
"""Runs that are transferred, and what they learn from."""

COMPARISONS = {
    "office": ("films+fashion+books", ("--rates", "0.5,1")),
    "fashion": ("films", ()),
    "books": ("films+fashion", ()),
    "films": ("fashion", ()),
}
"""By target: what is transferred to it, and more options where --rates are not given; rates are tried where a training takes
less than a minute."""

SEVERAL = ("office", "fashion", "books", "films")
"""Targets that are compared over several seeds and with few users, too."""

SIMPLE = ("popularity", "markov", "ease", "ials", "similarity")
OURS = ("scratch", "zero-shot", "transferred")
ROWS = (*SIMPLE, "identity", "identity-counts", "no-counts", *OURS, "plus-identity", "transferred-identity")
"""The whole comparison, once; over several seeds and with few users it is SIMPLE and OURS."""


def main() -> None:
    """Do what has not been done yet, and print the table of what came out."""
    options = command_line().parse_args()
    for name in PLATFORMS:
        ingested(name, options)
    found = []
    for target in COMPARISONS:
        if _wanted(target, options):
            found.append(_compare(target, options.rows or ",".join(ROWS), "rows", ("--seeds", "0"), options))
            if target in SEVERAL:
                chosen = ("--seeds", options.seeds, "--fractions", options.fractions)
                found.append(_compare(target, options.rows or ",".join((*SIMPLE, *OURS)), "seeds", chosen, options))
    print(_summary(found))


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """The options of every script that trains on these platforms."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="the folder with the four sets")
    parser.add_argument("--minilm", type=Path, required=True, help="the folder of all-MiniLM-L6-v2")
    parser.add_argument("--squeezenet", type=Path, required=True, help="SqueezeNet 1.1 weights as safetensors")
    parser.add_argument("--out", type=Path, required=True, help="where datasets and runs go")
    parser.add_argument("--seeds", default="0,1,2", help="of the comparisons")
    return parser


def command_line() -> argparse.ArgumentParser:
    """What the script can be asked."""
    parser = parser_of(__doc__)
    parser.add_argument("--only", nargs="*", default=[], help="targets to do, such as films or office; all by default")
    parser.add_argument("--fractions", default="0.1,1", help="shares of the target's users, of the comparisons")
    parser.add_argument("--rows", default="", help="of all comparisons, separated by commas; see ROWS by default")
    parser.add_argument("--rate", type=float, help="learning rate of sources and rows; that of real.yaml by default")
    parser.add_argument("--rates", default="", help="factors of it that rows try, such as 1,2; see COMPARISONS by default")
    parser.add_argument("--budget", default="", help="of few users: best, steps or epochs; what compare has by default")
    return parser


def _wanted(name: str, options: argparse.Namespace) -> bool:
    return not options.only or name in options.only


def ingested(name: str, options: argparse.Namespace) -> None:
    """Ingest this platform if it is not there yet."""
    folder, template, pictures = PLATFORMS[name]
    source, out = options.data_root / folder, options.out / "data" / name
    if (out / "dataset.json").exists():
        return
    command = ["ingest", "--interactions", source / "interactions.csv", "--items", source / "items.csv"]
    command += ["--text", template, "--out", out, "--picture-side", "128"]
    ran([*command, *(["--images", source / "images"] if pictures else [])])


def trained(name: str, platforms: Sequence[str], options: argparse.Namespace, *, settings: Sequence[str] = ()) -> Path:
    """The run of this name, trained now if it is not, with more settings than those of ``CONFIG``.

    The folder's name ends in a digest of these settings, of the file's and the library's, of the encoders and of the data.
    """
    folders = [options.out / "data" / platform for platform in platforms]
    command = ["--model.items.text.backbone", options.minilm]
    command += ["--model.items.custom-options.image.weights", options.squeezenet, *settings]
    prints = [Dataset.open(folder).fingerprint for folder in folders]
    run = options.out / "runs" / name_of(name, TrainSettings.from_yaml(CONFIG), command, prints)
    if not (run / CARD).exists():
        ran(["train", *folders, "--out", run, "--config", CONFIG, *command, *(["--resume"] if run.exists() else [])])
    return run


def learning(options: argparse.Namespace) -> tuple[str, ...]:
    """The flags of the learning rate that is asked for, if one is."""
    return () if options.rate is None else ("--training.learning-rate", str(options.rate))


def _compare(target: str, rows: str, name: str, chosen: tuple[str, ...], options: argparse.Namespace) -> Path:
    """One comparison, and where its document is kept; ``compare`` itself finds what of it is done."""
    source, usual = COMPARISONS[target]
    run = trained(source, SOURCES[source], options, settings=learning(options))
    more = [*chosen, *(("--rates", options.rates) if options.rates else usual)]
    more += ["--budget", options.budget] if options.budget else []
    out, data = options.out / "compare" / target, options.out / "data" / target
    ran(["compare", run, "--data", data, "--out", out, "--rows", rows, *more])
    named = name_of(f"{target} {name}", run.name, rows, more, Dataset.open(data).fingerprint)
    kept = options.out / "results" / f"{named}.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    for file in ("compare.png", "compare.json"):
        shutil.copy(out / file, kept.with_suffix(Path(file).suffix))
    return kept


def ran(command: list[object]) -> None:
    """Call a verb, and say so and how long it took.

    Raises:
        CalledProcessError: it failed.
    """
    words = [str(word) for word in command]
    print("$ transrec " + " ".join(words), flush=True)
    start = time.monotonic()
    subprocess.run([sys.executable, "-m", "transrec", *words], check=True)
    print(f"  took {time.monotonic() - start:.0f} s", flush=True)


def _summary(paths: Sequence[Path]) -> str:
    """Comparisons as one Markdown table, and their sentences."""
    lines = ["| comparison | row | HR@10 | NDCG@10 | HR@50 | NDCG@10 cold | NDCG@10 tail |", "|---|" + "---|" * 6]
    sentences = []
    for path in paths:
        document = json.loads(path.read_text())
        sentences.append(f"{path.stem}: {document['sentence']}")
        lines += [_line(path.stem, row) for row in document["rows"]]
    return "\n".join([*lines, "", *sentences])


def _line(name: str, row: dict[str, Any]) -> str:
    shown = [row["metrics"][metric] for metric in ("HR@10", "NDCG@10", "HR@50")]
    told = [f"{value['value']:.4f} [{value['low']:.4f}, {value['high']:.4f}]" for value in shown]
    parts = {part["label"]: part["value"]["value"] for part in row["slices"]}
    told += [f"{parts[label]:.4f}" for label in ("0 (cold)", "0-4 (tail)")]
    return " | ".join([f"| {name}", row["label"], *told]) + " |"


if __name__ == "__main__":
    main()
