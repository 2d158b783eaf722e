"""The service on loopback: p50 and p99 for 1, 8 and 64 clients, beside the bare product of one user with all items.

    python -m benchmarks.serving                     # 100,000 items of width 256
    python -m benchmarks.serving --items 1000000
    python -m benchmarks.serving --items 1000000 --approximate

The server is a process of its own (uvicorn, one worker), the clients are threads of this one, each with a connection that
stays open; on few cores they take from the server's time. Items have given vectors, in clusters as those of real catalogs
are, and the model is untrained: what is measured is the way of a request, not an encoder. In the end items are added while
eight clients read: how long until one is recommended to somebody whose history is like it.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import polars as pl
import torch

from transrec.data.catalog import Catalog
from transrec.data.dataset import Dataset
from transrec.data.interactions import Interactions
from transrec.data.item import Item
from transrec.model import ModelSettings, TransRec

WIDTH = 256
CLIENTS = (1, 8, 64)
K = 10
USERS = 300
NOISE = 0.6
"""How far items are spread around the middle of their cluster, as a share of how far the middles are."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--approximate", action="store_true", help="search with faiss; recall is printed")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each number of clients")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run, data = made(Path(folder), options.items)
        if options.approximate:
            command = [sys.executable, "-m", "transrec", "index", str(run), "--data", str(data), "--approximate"]
            print(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        bare = product_seconds(options.items)
        print(f"{options.items:,} items of width {WIDTH}; one user times all items and the best {K}: {bare * 1e3:.2f} ms")
        print("clients  requests/s   p50 ms   p99 ms   p50 / bare   p99 / bare   errors   batch")
        with Server(run, data) as address:
            for clients in CLIENTS:
                print(line(address, clients, options.items, options.seconds, bare), flush=True)
            print(adding(address, options.items, options.seconds))


def made(folder: Path, size: int) -> tuple[Path, Path]:
    """An untrained run and its dataset."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(round(size**0.5), WIDTH)).astype(np.float32)
    vectors = centres[generator.integers(len(centres), size=size)]
    vectors += NOISE * generator.standard_normal(size=vectors.shape, dtype=np.float32)
    catalog = Catalog.from_items([Item(id=f"i{n}", vectors={"given": vectors[n]}) for n in range(size)])
    users = np.repeat(np.arange(USERS), 10)
    events = pl.DataFrame(
        {
            "user": users.astype(str),
            "row": generator.integers(size, size=len(users)),
            "time": np.tile(np.arange(10.0), USERS),
        }
    )
    dataset = Dataset(catalog, Interactions.from_columns(events), name="bench").save(folder / "data")
    encoder = {"window": 20, "layers": 2, "heads": 4, "feedforward": 4 * WIDTH}
    settings = ModelSettings.from_mapping({"items": {"width": WIDTH}, "users": encoder})
    TransRec.build(settings, [dataset.catalog], seed=0).save(folder / "run")
    return folder / "run", folder / "data"


def product_seconds(size: int) -> float:
    """The median time of one product and its best items, on as many threads as torch takes."""
    generator = torch.Generator().manual_seed(0)
    items, user = torch.randn(size, WIDTH, generator=generator), torch.randn(WIDTH, generator=generator)
    times = []
    for _ in range(30):
        began = time.perf_counter()
        (items @ user).topk(K)
        times.append(time.perf_counter() - began)
    return float(np.median(times))


class Server:
    """The service as a process, and its address."""

    def __init__(self, run: Path, data: Path) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        words = [
            sys.executable,
            "-m",
            "transrec",
            "serve",
            str(run),
            "--data",
            str(data),
            "--port",
            str(port),
            "--open-writes",
        ]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self) -> str:
        while self.process.poll() is None:
            try:
                httpx.get(f"{self.address}/v1/ready").raise_for_status()
                return self.address
            except httpx.TransportError:
                time.sleep(0.5)
        raise SystemExit("the service did not start: run `transrec serve` by hand to see why")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()


def line(address: str, clients: int, size: int, seconds: float, bare: float) -> str:
    """What so many clients see."""
    times: list[float] = []
    errors = 0
    before = batches(address)
    end = time.perf_counter() + seconds

    def ask(seed: int) -> None:
        nonlocal errors
        generator = np.random.default_rng(seed)
        with httpx.Client(base_url=address, timeout=60) as client:
            while time.perf_counter() < end:
                history = [f"i{n}" for n in generator.integers(size, size=10)]
                began = time.perf_counter()
                answer = client.post("/v1/recommendations", json={"history": history, "k": K})
                times.append(time.perf_counter() - began)
                errors += answer.status_code != 200

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    p50, p99 = np.percentile(times, [50, 99])
    count, total = (now - then for now, then in zip(batches(address), before, strict=True))
    return (
        f"{clients:7}{len(times) / seconds:12.1f}{p50 * 1e3:9.1f}{p99 * 1e3:9.1f}{p50 / bare:13.1f}{p99 / bare:13.1f}"
        f"{errors:9}{total / count:8.1f}"
    )


def adding(address: str, size: int, seconds: float) -> str:
    """How long until an item that is added is recommended, while eight clients read."""
    end = time.perf_counter() + seconds
    statuses: list[int] = []
    waits: list[float] = []

    def ask(seed: int) -> None:
        generator = np.random.default_rng(seed)
        with httpx.Client(base_url=address, timeout=60) as client:
            while time.perf_counter() < end:
                history = [f"i{n}" for n in generator.integers(size, size=10)]
                statuses.append(client.post("/v1/recommendations", json={"history": history, "k": K}).status_code)

    threads = [threading.Thread(target=ask, args=(100 + seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    generator = np.random.default_rng(99)
    with httpx.Client(base_url=address, timeout=60) as client:
        while time.perf_counter() < end:
            given = {"vectors": {"given": generator.normal(size=WIDTH).tolist()}}
            began = time.perf_counter()
            client.post("/v1/items", json={"id": f"new{len(waits)}", "content": given}).raise_for_status()
            found: list[str] = []
            while f"new{len(waits)}" not in found:
                answer = client.post("/v1/recommendations", json={"history": [{"content": given}], "k": K})
                found = [item["id"] for item in answer.raise_for_status().json()["items"]]
            waits.append(time.perf_counter() - began)
    for thread in threads:
        thread.join()
    wrong = sum(status != 200 for status in statuses)
    p50, most = np.median(waits) * 1e3, max(waits) * 1e3
    return (
        f"{len(waits)} items added one by one, each until it was recommended: median {p50:.0f} ms, at most {most:.0f} ms; "
        f"meanwhile {len(statuses):,} requests of 8 clients, {wrong} errors"
    )


def batches(address: str) -> tuple[float, float]:
    """How many batches there were, and of how many requests."""
    text = httpx.get(f"{address}/v1/metrics").text
    count, total = (text.partition(f"transrec_batch_size_{name} ")[2].splitlines()[0] for name in ("count", "sum"))
    return float(count), float(total)


if __name__ == "__main__":
    main()
