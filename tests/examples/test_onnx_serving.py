"""The example serves an exported run where neither torch nor transrec can be imported, as the model itself would."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import SETTINGS, platform
from exporting_ground import ExportedRun
from rich.console import Console

from transrec.data.histories import Histories
from transrec.data.item import Item
from transrec.model import TransRec
from transrec.recipes.export import export
from transrec.recipes.fitting import TrainSettings
from transrec.recipes.train import train
from transrec.retrieval.encoding import encode_given
from transrec.retrieval.index import CatalogIndex, encode_histories

EXAMPLE = Path(__file__).parents[2] / "examples" / "onnx_serving.py"
ALONE = f"""
import json, runpy, sys
for name in ("torch", "transformers", "transrec"):
    sys.modules[name] = None
example = runpy.run_path({str(EXAMPLE)!r})
run = example["ExportedRun"](sys.argv[1])
run.add_texts({{"new": "a walk to the harbour"}})
found = run.recommend(sys.argv[2].split(","), 60)
print(json.dumps({{"vector": run.vectors[-1].tolist(), "found": found}}))
"""


def test_it_encodes_a_new_item_and_ranks_as_the_model_does(exported: ExportedRun) -> None:
    catalog = exported.dataset.catalog
    history = [catalog.ids[n] for n in (3, 8, 5, 0, 9, 11, 2, 8)]  # longer than the window, one item twice
    words = [sys.executable, "-c", ALONE, str(exported.out), ",".join(history)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    model = TransRec.load(exported.run)
    new = Item("new", text="a walk to the harbour")
    np.testing.assert_allclose(answer["vector"], encode_given(model, [new], 0)[0].numpy(), atol=1e-4)
    index = CatalogIndex.of(model, exported.dataset).add(encode_given(model, [new], 0))
    scores = index.scores(encode_histories(model, index, Histories.from_lists([catalog.rows(history)])))[0].numpy()
    counts = np.append(np.bincount(exported.dataset.interactions.rows, minlength=len(catalog)), 0)
    popularity, unseen = (float(weight.detach()) for weight in (model.prior.popularity, model.prior.unseen))
    scores = scores + popularity * np.log1p(counts) + unseen * (counts == 0)
    named = dict(zip([*catalog.ids, "new"], scores, strict=True))
    shown = set(named) - set(history) - {catalog.ids[-1]}  # the last one has nothing that the model reads
    assert {item for item, _, _ in answer["found"]} == shown
    for item, _, score in answer["found"]:
        assert abs(named[item] - score) < 1e-3
    assert [s for *_, s in answer["found"]] == sorted((s for *_, s in answer["found"]), reverse=True)


def test_its_command_line_prints_a_list(exported: ExportedRun) -> None:
    words = [sys.executable, EXAMPLE, exported.out, "--history", exported.dataset.catalog.ids[1], "--k", "3"]
    done = subprocess.run([*map(str, words), "--new", "sun"], capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 3 and "thing " in done.stdout


def test_several_interests_count_as_in_the_model(tmp_path: Path) -> None:
    dataset = platform(users=20, items=30).save(tmp_path / "data")
    form = {"prior": "none", "users": {"interests": {"count": 3, "with_state": True, "handicap": True}}}
    training = {"epochs": 1, "device": "cpu", "tensorboard": False}
    chosen = {"model": SETTINGS.updated(form).model_dump(), "training": training, "tune": "frozen"}
    settings = TrainSettings.from_mapping(chosen)
    model, _ = train([tmp_path / "data"], settings, tmp_path / "run", console=Console(quiet=True))
    with torch.no_grad():
        model.scorer.handicaps.of_each.copy_(torch.tensor([0.5, 1.5]))
    model.save(tmp_path / "run")
    export(tmp_path / "run", tmp_path / "out", console=Console(quiet=True))
    served = runpy.run_path(str(EXAMPLE))["ExportedRun"](tmp_path / "out")
    assert served.manifest["scorer"]["handicaps"] == [0.5, 1.5]
    index = CatalogIndex.of(model, dataset)
    for rows in ([3, 8, 5], [1], [7, 2, 7, 9, 11, 4]):
        scores = index.scores(encode_histories(model, index, Histories.from_lists([rows])))[0].numpy()
        found = {item: score for item, _, score in served.recommend([dataset.catalog.ids[row] for row in rows], 30)}
        expected = {item: scores[row] for row, item in enumerate(dataset.catalog.ids) if row not in rows}
        assert found == {item: pytest.approx(score, abs=1e-4) for item, score in expected.items()}
