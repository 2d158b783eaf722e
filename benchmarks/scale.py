"""What a training, an index and lists of all users cost as a platform grows: measured at three sizes.

    OMP_NUM_THREADS=1 python -m benchmarks.scale

Each size is measured in a process of its own. Times are seconds of a processor, not of the clock, which also counts what
else the machine is doing; medians over rounds, and for the short ones of a step the least of three times as many, for a busy
machine only adds to them. Memory is that of the arrays and objects that are held, and for a step the
tensors that are alive at a time.

Two numbers are fitted to the two smaller sizes: so much at once, and so much for each item or event; for a step so much
for each distinct item, and for each pair of a position and an item, because every position is scored against the items of
all. The third size is not fitted: what is predicted for it is compared with what was measured.

Operations of networks are counted, not measured. ``docs/scale.md`` says what all of it makes of larger sizes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import polars as pl
import scipy.sparse as sp
import torch
from benchmarks.prefix import MAX_LENGTH, flops, titles

from transrec.data.batches import SequenceBatches
from transrec.data.catalog import Catalog, Item
from transrec.data.counts import Counts
from transrec.data.dataset import Dataset
from transrec.data.histories import Histories
from transrec.data.interactions import Interactions
from transrec.data.splits import leave_one_out
from transrec.data.store import ContentStore
from transrec.items.scratch import new_text_backbone
from transrec.model import ModelSettings, TransRec
from transrec.objectives import ObjectiveSettings, build_objective
from transrec.retrieval.encoding import encode_items
from transrec.retrieval.index import CatalogIndex, encode_histories
from transrec.rules import Tuning, apply_tuning
from transrec.training.memory import peak_of

SIZES = (4_000, 16_000, 64_000)
"""Items."""
PER_ITEM = 25
"""Events for each of them."""
PER_USER = 25
BATCHES = (16, 64, 256)
"""Users of a step."""
STEP_ITEMS = 16_000
ENCODED = 8
"""One of so many items is encoded, as the small network is slow enough."""
ASKED = 256
"""Users who are given lists."""
WIDTH = 256
"""Of vectors."""
STEP_COSTS = (
    "s of a CPU, batch with counts",
    "s of a CPU, forward and backward",
    "bytes of memory, tensors alive",
)


def platform(folder: Path, items: int) -> Dataset:
    """Titles, and events drawn by Zipf's law."""
    generator = np.random.default_rng(0)
    catalog = Catalog.from_items([Item(f"item-{row}", text=text) for row, text in enumerate(titles(items, generator))])
    shares = 1 / np.arange(1, items + 1)
    events = {
        "user": np.repeat(np.arange(items * PER_ITEM // PER_USER), PER_USER).astype(str),
        "row": generator.choice(items, items * PER_ITEM, p=shares / shares.sum()),
        "time": np.tile(np.arange(PER_USER, dtype=np.float64), items * PER_ITEM // PER_USER),
    }
    return Dataset(catalog, Interactions.from_columns(pl.DataFrame(events)), "scale").save(folder / "data")


def model_for(folder: Path, dataset: Dataset, *, layers: int, width: int) -> TransRec:
    """A small text network under the usual user encoder; the top block learns."""
    texts = dataset.catalog.column("text").head(500).to_list()
    new_text_backbone(texts, folder / "text", width=width, layers=layers, heads=width // 64, max_length=MAX_LENGTH)
    settings = {
        "items": {
            "width": WIDTH,
            "modalities": ["text"],
            "text": {"backbone": str(folder / "text"), "max_length": MAX_LENGTH},
        },
        "users": {"window": 25, "heads": 4},
    }
    model = TransRec.build(ModelSettings.from_mapping(settings), [dataset.catalog])
    apply_tuning(model, Tuning.parse("top:1"))
    return model


def cpu(work: Callable[[], object], rounds: int, of: Callable[[list[float]], float] = statistics.median) -> float:
    """Seconds of a processor that some work takes, the median of some rounds."""
    found = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return of(found)


def held(thing: object) -> int:
    """Bytes of the arrays that something holds."""
    if isinstance(thing, np.ndarray):
        return thing.nbytes
    if isinstance(thing, torch.Tensor):
        return thing.numel() * thing.element_size()
    if sp.issparse(thing):
        return sum(held(getattr(thing, name)) for name in ("data", "indices", "indptr"))
    if isinstance(thing, pl.Series):
        return int(thing.estimated_size())
    if isinstance(thing, Mapping):
        return sum(map(held, thing.values()))
    if is_dataclass(thing):
        return sum(held(getattr(thing, field.name)) for field in fields(thing))
    return 0


def catalog_bytes(folder: Path) -> int:
    """Bytes that a catalog holds, with the table from ids to rows that is made when it is first asked for."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    catalog = Catalog.open(folder)
    catalog.rows(["item-0"])
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return grown


def measured(items: int, rounds: int) -> dict[str, float]:
    """Everything about one size, by ``unit: what``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset, model = platform(folder, items), None
        found: dict[str, float] = {}
        found["item: bytes of memory, catalog"] = catalog_bytes(folder / "data" / "catalog.lance")
        catalog, events = dataset.catalog, Interactions.open(folder / "data" / "interactions.parquet", items=items)
        found["event: bytes of memory, events"] = held(events)
        found["event: bytes of disk, Parquet"] = (folder / "data" / "interactions.parquet").stat().st_size
        files = (folder / "data" / "catalog.lance").rglob("*")
        found["item: bytes of disk, Lance"] = sum(file.stat().st_size for file in files if file.is_file())
        split = leave_one_out(events)
        counts = Counts.of(split, items)
        found["event: bytes of memory, counts"] = held(counts)
        found["event: s of a CPU, counts"] = cpu(lambda: Counts.of(split, items), rounds)
        model = model_for(folder, dataset, layers=2, width=128)
        preparers = model.items.preparers()
        found["item: s of a CPU, tokens"] = cpu(lambda: ContentStore.prepare(catalog, preparers), rounds)
        store = ContentStore.prepare(catalog, preparers, folder / "store")
        kept = sum(file.stat().st_size for file in (folder / "store").rglob("*") if file.is_file())
        found["item: bytes of disk, tokens"] = kept
        some = store.of_rows(np.arange(0, items, ENCODED))
        found["item: s of a CPU, encoding (BERT 2 x 128)"] = ENCODED * cpu(lambda: encode_items(model, some), rounds)
        vectors = torch.nn.functional.normalize(torch.randn(items, WIDTH, generator=torch.Generator().manual_seed(0)))
        index = CatalogIndex(vectors, model.scorer)
        asked = Histories.between(events.rows, events.offsets[:ASKED], events.offsets[1 : ASKED + 1])
        queries = encode_histories(model, index, asked)
        found["item: s of a CPU, a list for each of 1,000 users"] = (
            1000 / ASKED * cpu(lambda: index.search(queries, 10, asked), rounds)
        )
        if items == STEP_ITEMS:
            found |= steps(model, split, store, counts, rounds)
        return found


def steps(model: TransRec, split: object, store: ContentStore, counts: object, rounds: int) -> dict[str, float]:
    """Steps of three sizes, by ``step USERS: what``."""
    found = {}
    objective = build_objective(ObjectiveSettings(), model)
    for users in BATCHES:
        batches = SequenceBatches(split, store, objective.plan, batch_size=users, seed=0, counts=counts)
        batch = batches.batch(0)

        def step(batch: object = batch) -> None:
            objective(model, model(batch), batch).total.backward()
            model.zero_grad()

        model.train()
        step()
        bare = SequenceBatches(split, store, objective.plan, batch_size=users, seed=0)
        found[f"step {users}: s of a CPU, batch with counts"] = cpu(lambda b=batches: b.batch(1), 3 * rounds, min)
        found[f"step {users}: s of a CPU, batch without counts"] = cpu(lambda b=bare: b.batch(1), 3 * rounds, min)
        found[f"step {users}: s of a CPU, forward and backward"] = cpu(step, 3 * rounds, min)
        found[f"step {users}: bytes of memory, tensors alive"] = peak_of(step, torch.device("cpu"))
        found[f"step {users}: distinct items"] = len(batch.rows_U)
        found[f"step {users}: positions"] = int(batch.target_mask_BT.sum())
    return found


def fitted(form: list[tuple[float, float]], values: list[float]) -> tuple[float, float, float]:
    """Two numbers from the first two sizes, and the error of what they predict for the third, as a share of it.

    Args:
        form: of each size, what each of the two numbers is multiplied by.
        values: measured.
    """
    first, second = np.linalg.solve(np.array(form[:2]), values[:2])
    return float(first), float(second), float(np.dot(form[2], (first, second)) / values[2] - 1)


def fits(by_size: dict[int, dict[str, float]]) -> dict[str, tuple[float, float, float]]:
    """What was measured as two numbers each, with the error at the third size."""
    made = {}
    for name in by_size[SIZES[0]]:
        each = PER_ITEM if name.startswith("event") else 1
        made[name] = fitted([(1.0, float(size * each)) for size in SIZES], [by_size[size][name] for size in SIZES])
    at = by_size[STEP_ITEMS]
    form = []
    for users in BATCHES:
        items, positions = (at[f"step {users}: {what}"] for what in ("distinct items", "positions"))
        form.append((items, items * positions))
    for name in STEP_COSTS:
        made[f"step: {name}"] = fitted(form, [at[f"step {users}: {name}"] for users in BATCHES])
    plain = "s of a CPU, batch without counts"  # nothing in it is made for pairs
    made[f"step: {plain}"] = fitted([(1.0, items) for items, _ in form], [at[f"step {users}: {plain}"] for users in BATCHES])
    return made


def operations(layers: int, width: int, tokens: int) -> float:
    """Operations of a text network's forward pass over one text of so many tokens, counted."""
    with tempfile.TemporaryDirectory() as name:
        words = [" ".join(f"w{place}" for place in range(tokens))] * 8
        new_text_backbone(words, name, width=width, layers=layers, heads=max(1, width // 64), max_length=tokens)
        catalog = Catalog.from_items([Item("one", text=words[0])])
        text = {"backbone": name, "max_length": tokens}
        form = {"items": {"width": WIDTH, "modalities": ["text"], "text": text}, "prior": "none"}
        model = TransRec.build(ModelSettings.from_mapping(form), [catalog]).train()
        store = ContentStore.prepare(catalog, model.items.preparers())
        length = int(store.parts["text"].sizes(np.zeros(1, dtype=np.int64))[0])
        both = flops(lambda: model.items(store.gather(np.zeros(1, dtype=np.int64))).fused_UD)
        return both / 3 * tokens / length  # a backward pass takes two forward ones


def main() -> None:
    """Measure, fit and check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", type=int, help="measure this size alone and print JSON")
    parser.add_argument("--out", type=Path, default=Path("scale.json"), help="where the fits are written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.one:
        print(json.dumps(measured(options.one, options.rounds)))
        return
    by_size = {}
    for size in SIZES:
        command = [sys.executable, "-m", "benchmarks.scale", "--one", str(size), "--rounds", str(options.rounds)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        by_size[size] = json.loads(done.stdout.splitlines()[-1])
        print(f"{size:,} items, {size * PER_ITEM:,} events: measured", flush=True)
    found = fits(by_size)
    counted = {f"{layers} x {width}": operations(layers, width, 30) for layers, width in ((2, 128), (6, 384), (12, 768))}
    options.out.write_text(json.dumps({"measured": by_size, "fits": found, "operations": counted}, indent=1))
    for name, (first, second, error) in found.items():
        pairs = name.startswith("step") and "without" not in name
        labels = ("item", "pair") if pairs else ("at once", "each")
        print(f"{name:60} {labels[0]} {first:10.3g}   {labels[1]} {second:10.3g}   third size off by {error:+.0%}")
    for network, operations_of in counted.items():
        print(f"operations of {network} for a text of 30 tokens, forward: {operations_of:.3g}")


if __name__ == "__main__":
    main()
