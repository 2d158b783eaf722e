"""Recommend from an exported run without PyTorch: NumPy, onnxruntime and tokenizers, and pyarrow to read the item vectors.

transrec export RUN --out FOLDER
python examples/onnx_serving.py FOLDER --history ID,ID --new 'a text that nobody has seen'
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
from tokenizers import Tokenizer


class ExportedRun:
    """An exported folder: new items in, recommendations out.

    Args:
        folder: that `transrec export` wrote.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.manifest: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        if self.manifest["format"] != 1:
            raise ValueError(f"this reads format 1, the folder has {self.manifest['format']}")
        self.modalities = list(self.manifest["items"])
        table = pq.read_table(self.folder / self.manifest["vectors"]["file"])
        self.ids: list[str] = table["id"].to_pylist()
        self.titles: list[str] = table["title"].to_pylist()
        width = self.manifest["vectors"]["width"]
        flat = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        self.vectors = flat.astype(np.float32).reshape(-1, width)
        self.prior = table["prior"].to_numpy()
        self.sessions: dict[str, onnxruntime.InferenceSession] = {}

    def run(self, file: str, **inputs: np.ndarray) -> np.ndarray:
        """What a graph makes of its inputs."""
        if file not in self.sessions:
            self.sessions[file] = onnxruntime.InferenceSession(self.folder / file, providers=["CPUExecutionProvider"])
        return self.sessions[file].run(None, inputs)[0]

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """The vectors of items that have a text alone."""
        reading = self.manifest["items"]["text"]["text"]
        tokenizer = Tokenizer.from_file(str(self.folder / reading["tokenizer"]))
        tokenizer.enable_truncation(reading["max_length"])
        length = reading["max_length"] if reading["pad_to_max_length"] else None
        tokenizer.enable_padding(pad_id=reading["padding"], length=length)
        found = tokenizer.encode_batch(list(texts))
        view = self.run(
            self.manifest["items"]["text"]["graph"]["file"],
            input_ids=np.array([own.ids for own in found], dtype=np.int64),
            attention_mask=np.array([own.attention_mask for own in found], dtype=np.int64),
        )
        return self.fused({"text": view})

    def fused(self, views: dict[str, np.ndarray]) -> np.ndarray:
        """The vectors of items from the views that they have: by modality, one row an item."""
        count, width = next(iter(views.values())).shape
        stacked = np.zeros((count, len(self.modalities), width), dtype=np.float32)
        present = np.zeros((count, len(self.modalities)), dtype=bool)
        for name, view in views.items():
            stacked[:, self.modalities.index(name)], present[:, self.modalities.index(name)] = view, True
        return self.run(self.manifest["fusion"]["file"], views=stacked, present=present)

    def add_texts(self, texts: dict[str, str]) -> None:
        """Add items by their text: id -> text; they can be recommended at once."""
        self.ids += list(texts)
        self.titles += list(texts.values())
        self.vectors = np.concatenate([self.vectors, self.encode_texts(list(texts.values()))])
        untouched = (self.manifest["prior"] or {"unseen": 0.0})["unseen"]
        self.prior = np.append(self.prior, np.full(len(texts), untouched, dtype=np.float32))

    def recommend(self, history: Sequence[str], k: int = 10) -> list[tuple[str, str, float]]:
        """The best items after a history, oldest first, as (id, title, score); items of the history are left out."""
        users, scorer = self.manifest["users"], self.manifest["scorer"]
        place_of = {item_id: place for place, item_id in enumerate(self.ids)}
        places = [place_of[item_id] for item_id in history]
        recent = places[-users["window"] :]
        inputs = {"items": self.vectors[recent][None], "mask": np.ones((1, len(recent)), dtype=bool)}
        if users["reads_times"]:  # nothing is known of when the events were
            inputs["times"] = np.full((1, len(recent)), users["unknown_time"], dtype=np.int64)
        # one state, or several interests, of which the one that fits best counts
        states, vectors = self.run(users["graph"]["file"], **inputs)[0].reshape(-1, self.vectors.shape[1]), self.vectors
        states, vectors = (each[:, : scorer["width"]] for each in (states, vectors))
        if scorer["kind"] != "dot":
            states, vectors = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (states, vectors))
        scores = scorer["scale"] * (vectors @ states.T)
        scores = 2 * scores - 2 if scorer["kind"] == "distance" else scores
        scores = (scores - np.array([0.0, *(scorer["handicaps"] or [0.0] * (len(states) - 1))])).max(axis=1) + self.prior
        scores[places] = -np.inf
        best = np.argsort(-scores, kind="stable")[: min(k, len(scores) - len(set(places)))]
        return [(self.ids[place], self.titles[place], float(scores[place])) for place in best]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="what transrec export wrote")
    parser.add_argument("--history", required=True, help="item ids, oldest first, separated by commas")
    parser.add_argument("--new", help="the text of an item to add before")
    parser.add_argument("--k", type=int, default=10)
    chosen = parser.parse_args()
    run = ExportedRun(chosen.folder)
    if chosen.new:
        run.add_texts({"new": chosen.new})
    for item_id, title, score in run.recommend(chosen.history.split(","), chosen.k):
        print(f"{score:8.3f}  {item_id}  {title}")


if __name__ == "__main__":
    main()
