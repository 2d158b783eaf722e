"""Demo: the whole path on a small built-in world: pre-train, transfer to four platforms, compare, recommend."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.data.folders import require_place
from transrec.data.worlds import source_and_targets
from transrec.errors import RunError
from transrec.items.scratch import new_image_backbone, new_text_backbone
from transrec.recipes.demo_figure import save_bars, save_items
from transrec.recipes.demo_report import METRIC, DemoResult, comparison_table, how_measured, verdicts
from transrec.recipes.demo_runs import DemoRuns, DemoSettings
from transrec.recipes.recommend import recommend
from transrec.serving.request import Request

WRITTEN = ("data", "backbones", "runs", "demo.json", "demo.png", "items.png")
"""Everything that the demo puts into its folder."""


def demo(
    out: str | Path,
    settings: DemoSettings | None = None,
    *,
    seed: int = 0,
    overwrite: bool = False,
    console: Console | None = None,
) -> DemoResult:
    """Pre-train on a platform of a built-in world, move to four others, compare on their test events, recommend.

    Args:
        out: a folder for datasets, runs, ``demo.json`` with all numbers, ``demo.png`` and ``items.png``.
        settings: how long it learns.
        seed: of the world, of the weights and of the training.
        overwrite: take away what an earlier demo left in ``out``.
        console: where it is told; standard output when None.

    Raises:
        DataError: nothing can be written there.
        RunError: ``out`` is not empty; or it is to be overwritten, but no demo made it.
    """
    out, told = Path(out), console or Console(highlight=False)
    _make_room(out, overwrite=overwrite)
    seconds: dict[str, float] = {}
    runs = DemoRuns(out, settings or DemoSettings(), seed)
    with _stage("Drawing a source and four target platforms", seconds, told):
        source, targets = _platforms(out, scale=runs.settings.scale, seed=seed)
        told.print(f"  what their items look like: {out}/items.png", soft_wrap=True)
    size = f"{len(source.interactions.users):,} users, {len(source.catalog):,} items"
    with _stage(f"Pre-training on the source ({size})", seconds, told):
        pretrained = runs.pretrained(source, told)
    evaluations = {}
    for name, target in targets.items():
        with _stage(f"Platform {name!r}: ID-based and TransRec from scratch, zero-shot, transferred", seconds, told):
            evaluations[name] = runs.compared(pretrained, name, target)
    result = DemoResult(evaluations, runs.validation, seconds)
    numbers = {"seed": seed, "settings": runs.settings.model_dump(mode="json"), **result.to_json()}
    (out / "demo.json").write_text(json.dumps(numbers, indent=2) + "\n")
    save_bars(evaluations, out / "demo.png", metric=METRIC)
    _tell(result, out, told)
    _use(out, targets["mixed"], told)
    return result


def _make_room(out: Path, *, overwrite: bool) -> None:
    require_place(out / "demo.json")
    if out.exists() and any(out.iterdir()):
        if not overwrite:
            raise RunError(f"{out} is there already and not empty", remedy="give another --out, or add --overwrite")
        if not (out / "demo.json").exists():
            raise RunError(f"{out} was not made by the demo, so it is not overwritten", remedy="give another --out")
        for name in WRITTEN:
            shutil.rmtree(out / name) if (out / name).is_dir() else (out / name).unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    # written first, so that a demo that was interrupted can be overwritten too
    (out / "demo.json").write_text('{"unfinished": true}\n')


@contextmanager
def _stage(name: str, seconds: dict[str, float], console: Console) -> Iterator[None]:
    """Say what is being done and how long it took."""
    console.print(f"[bold]{name}[/bold]")
    began = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - began
    console.print(f"  done in {seconds[name]:.0f} s")


def _platforms(out: Path, *, scale: float, seed: int) -> tuple[Dataset, Mapping[str, Dataset]]:
    """Draw and save the platforms, a picture of their items, and untrained encoders."""
    drawn = source_and_targets(seed, scale=scale)
    source = drawn.source.save(out / "data" / "source")
    targets = {name: target.save(out / "data" / name) for name, target in drawn.targets.items()}
    save_items({"source": source, "elsewhere": targets["elsewhere"]}, out / "items.png")
    texts = [text for text in source.catalog.column("text").to_list() if text]
    new_text_backbone(texts, out / "backbones" / "text", layers=1, seed=seed)
    new_image_backbone(out / "backbones" / "image", kind="vit", layers=1, seed=seed)
    return source, targets


def _tell(result: DemoResult, out: Path, console: Console) -> None:
    """The table, a sentence a target, and where everything is."""
    console.print()
    for line in how_measured(result):
        console.print(line, soft_wrap=True)
    console.print(comparison_table(result))
    for sentence in verdicts(result):
        console.print(f"- {sentence}", markup=False, soft_wrap=True)
    minutes = sum(result.seconds.values()) / 60
    console.print(
        f"\n{minutes:.1f} minutes; the figure is {out}/demo.png, all numbers are in {out}/demo.json", soft_wrap=True
    )


def _use(out: Path, dataset: Dataset, console: Console) -> None:
    """Recommend for one user, and say what to try next."""
    history = [dataset.catalog.ids[row] for row in dataset.interactions.history(0)]
    run = out / "runs" / "mixed-transferred"
    console.print("\n[bold]The first user of the platform 'mixed', and what the transferred model recommends[/bold]")
    recommend(run, Request(history, k=5), console=console)
    console.print("\n[bold]Next[/bold]")
    for command in _commands(out, history):
        console.print(f"  {command}", markup=False, soft_wrap=True)


def _commands(out: Path, history: Sequence[str]) -> tuple[str, ...]:
    """What works as it stands, then the same path for tables of one's own."""
    return (
        f"transrec recommend {out}/runs/mixed-transferred --history {','.join(history[:3])}",
        f"transrec evaluate {out}/runs/image-transferred",
        f"transrec evaluate {out}/runs/source --data {out}/data/elsewhere",
        f"transrec check {out}/data/source",
        "transrec ingest --interactions YOUR_EVENTS.csv --items YOUR_ITEMS.csv --images YOUR_PICTURES --out DATA",
        "transrec train DATA --out RUN",
    )
