"""Every verb on four real platforms, by the command line, as a new user would; docs/results.md holds what came out.

The platforms share no user and no item: films with posters (MovieLens ratings), a week of fashion purchases with photos
(H&M), books (goodbooks-10k) and office products (Amazon reviews). Each is a folder with ``interactions.csv``, ``items.csv``
and perhaps ``images/`` below ``--data-root``; docs/results.md says where they come from. Their terms forbid publishing them,
so they are not part of this repository.

::

    PYTHONPATH=. python experiments/real.py --data-root DATA --minilm FOLDER --squeezenet FILE --out OUT

It can be interrupted: what is done is not done again, and a training resumes. ``--only films office`` does a part.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

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
    "films": ("films",),
    "films+fashion": ("films", "fashion"),
    "films+fashion+books": ("films", "fashion", "books"),
}
"""Runs that are transferred, and what they learn from."""

COMPARISONS = (("films", "fashion"), ("films+fashion", "books"), ("films+fashion+books", "office"))
"""A source and a target: `transrec compare`, with several seeds and shares of the target's users."""

SCRATCH = ("films",)
"""Platforms that are no target above: trained from scratch and evaluated, beside the simple methods."""

SIMPLE = ("popularity", "markov", "ease", "ials", "similarity")


def main() -> None:
    """Do what has not been done yet, and print the table of what came out."""
    options = _options()
    for name in PLATFORMS:
        _ingest(name, options)
    for name, platforms in SOURCES.items():
        if _wanted(name, options):
            _train(name, platforms, options)
    for name in SCRATCH:
        if _wanted(name, options):
            _evaluate(name, options)
    for source, target in COMPARISONS:
        if _wanted(target, options):
            _compare(source, target, options)
    print(_summary(options.out))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="the folder with the four sets")
    parser.add_argument("--minilm", type=Path, required=True, help="the folder of all-MiniLM-L6-v2")
    parser.add_argument("--squeezenet", type=Path, required=True, help="SqueezeNet 1.1 weights as safetensors")
    parser.add_argument("--out", type=Path, required=True, help="where datasets and runs go")
    parser.add_argument(
        "--only", nargs="*", default=[], help="sources and targets to do, such as films or office; all by default"
    )
    parser.add_argument("--seeds", default="0,1,2", help="of the comparisons")
    parser.add_argument("--fractions", default="0.1,1", help="shares of the target's users, of the comparisons")
    return parser.parse_args()


def _wanted(name: str, options: argparse.Namespace) -> bool:
    return not options.only or name in options.only


def _ingest(name: str, options: argparse.Namespace) -> None:
    folder, template, pictures = PLATFORMS[name]
    source, out = options.data_root / folder, options.out / "data" / name
    if (out / "dataset.json").exists():
        return
    command = ["ingest", "--interactions", source / "interactions.csv", "--items", source / "items.csv"]
    command += ["--text", template, "--out", out, "--picture-side", "128"]
    _run([*command, *(["--images", source / "images"] if pictures else [])])


def _train(name: str, platforms: tuple[str, ...], options: argparse.Namespace) -> None:
    run = options.out / "runs" / name
    if _trained(run):
        return
    command = ["train", *(options.out / "data" / platform for platform in platforms), "--out", run, "--config", CONFIG]
    command += ["--model.items.text.backbone", options.minilm]
    command += ["--model.items.custom-options.image.weights", options.squeezenet]
    _run([*command, *(["--resume"] if run.exists() else [])])


def _evaluate(name: str, options: argparse.Namespace) -> None:
    run = options.out / "runs" / name
    if not (run / "evaluation" / f"{name}.json").exists():
        _run(["evaluate", run, "--data", options.out / "data" / name, "--baselines", *SIMPLE])


def _compare(source: str, target: str, options: argparse.Namespace) -> None:
    """What is done is kept by ``compare`` itself."""
    rows = ",".join((*SIMPLE, "identity", "identity-counts", "no-counts", "scratch", "zero-shot", "transferred"))
    command = ["compare", options.out / "runs" / source, "--data", options.out / "data" / target, "--rows", rows]
    command += ["--out", options.out / "compare" / target, "--fractions", options.fractions, "--seeds", options.seeds]
    _run(command)


def _trained(run: Path) -> bool:
    return (run / "README.md").exists()


def _run(command: list[object]) -> None:
    words = [str(word) for word in command]
    print("$ transrec " + " ".join(words), flush=True)
    start = time.monotonic()
    subprocess.run([sys.executable, "-m", "transrec", *words], check=True)
    print(f"  took {time.monotonic() - start:.0f} s", flush=True)


def _summary(out: Path) -> str:
    """All overall results as one Markdown table."""
    rows = ["| platform | method | HR@10 | NDCG@10 | HR@50 | cold HR@10 |", "|---|---|---|---|---|---|"]
    for target in PLATFORMS:
        for path in sorted(out.glob(f"runs/*/evaluation/{target}.json")):
            for result in json.loads(path.read_text())["evaluations"]:
                metrics = result["overall"]["metrics"]
                cold = next((s for s in result["slices"] if "cold" in s["label"]), None)
                shown = [_interval(metrics[name]) for name in ("HR@10", "NDCG@10", "HR@50")]
                shown.append(_interval(cold["metrics"]["HR@10"]) if cold else "")
                rows.append(f"| {target} | {result['ranker']} | {' | '.join(shown)} |")
    return "\n".join(rows)


def _interval(value: dict[str, float]) -> str:
    return f"{value['value']:.4f} [{value['low']:.4f}, {value['high']:.4f}]"


if __name__ == "__main__":
    main()
