"""A whole export: what is in the folder, how near it is to PyTorch, and what is left where it cannot be made."""

import json

import numpy as np
import onnxruntime
import polars as pl
import pytest
import torch
from cases import platform
from exporting_ground import ExportedRun

from transrec.data.dataset import Dataset
from transrec.data.histories import Histories
from transrec.data.ragged import Ragged
from transrec.data.times import whole_seconds
from transrec.errors import ExportError, RunError
from transrec.export import parity
from transrec.export.folder import FolderWriter
from transrec.items.encoder import ModalityEncoder
from transrec.items.settings import ItemSettings
from transrec.items.tower import ItemEncoder
from transrec.model import ModelSettings, TransRec
from transrec.recipes.export import export
from transrec.retrieval.index import CatalogIndex, encode_histories
from transrec.scoring import CosineScorer
from transrec.users.tower import build_users

USERS = {"window": 6, "layers": 1, "heads": 2, "feedforward": 16}


class Frames(ModalityEncoder):
    """Reads given vectors as if they were of another length for every item."""

    modality = "given"

    def __init__(self):
        super().__init__()
        self.width = 8
        self.linear = torch.nn.Linear(8, 8)

    def prepare(self, items):
        return {"frames": Ragged.of([torch.from_numpy(item.vectors["given"]) for item in items])}

    def forward(self, prepared):
        return self.linear(prepared["frames"].padded())

    def preparation_key(self):
        return "frames"

    def save_assets(self, folder):
        (folder / "frames.json").write_text("{}")

    @classmethod
    def from_assets(cls, _):
        return cls()


def test_the_folder_is_complete(exported: ExportedRun):
    files = {str(path.relative_to(exported.out)) for path in exported.out.rglob("*") if path.is_file()}
    assert {"manifest.json", "items.parquet", "fusion.onnx", "users.onnx", "items/text/tokenizer.json"} <= files
    assert {"items/text.onnx", "items/image.onnx", "items/given.onnx", "items/image/preprocessor_config.json"} <= files
    assert not any(name.endswith((".safetensors", ".bin", ".data")) for name in files)
    assert not list(exported.out.parent.glob(".out*"))


def test_the_manifest_says_what_is_needed(exported: ExportedRun):
    document = json.loads((exported.out / "manifest.json").read_text())
    model = TransRec.load(exported.run)
    assert document == exported.manifest.model_dump(mode="json")
    assert document["format"] == 1 and list(document["items"]) == list(model.items.encoders)
    assert document["dataset_fingerprint"] == exported.dataset.fingerprint
    assert document["users"]["window"] == 6 and document["users"]["reads_times"] is True
    assert document["scorer"]["scale"] == pytest.approx(float(model.scorer.scale.detach()))
    assert document["prior"]["weights"]["followers"] == pytest.approx(float(model.prior.weights["followers"].detach()))
    assert document["vectors"] | {"items": 39, "left_out": 1} == document["vectors"]
    assert document["items"]["text"]["text"]["tokenizer"] == "items/text/tokenizer.json"
    for file, graph in exported.manifest.graphs.items():
        session = onnxruntime.InferenceSession(exported.out / file)
        taken = [(port.name, tuple(port.shape)) for port in session.get_inputs()]
        assert taken == [(port.name, port.shape) for port in graph.inputs]
        assert session.get_outputs()[0].name == graph.output.name


def test_every_graph_is_near_to_pytorch_and_that_is_told(exported: ExportedRun):
    graphs = exported.manifest.graphs
    assert len(graphs) == 5 and all(0 < graph.parity.relative < 1e-5 for graph in graphs.values())
    assert all(graph.parity.compared > 16 for graph in graphs.values())
    for graph in graphs.values():
        assert f"{graph.parity.absolute:.1e}" in exported.told
    assert "in no graph: what counts add to scores" in exported.told
    assert "39 item vectors, 1 that the model cannot read left out" in exported.told


def test_files_alone_make_the_scores_of_the_model(exported: ExportedRun):
    """From the Parquet file and the user graph, with the times of the events: content and popularity of every user."""
    model = TransRec.load(exported.run)
    index = CatalogIndex.of(model, exported.dataset)
    events = exported.dataset.interactions
    histories = Histories(events.rows, events.offsets, whole_seconds(events.times))
    expected = index.scores(encode_histories(model, index, histories)).numpy()
    table = pl.read_parquet(exported.out / "items.parquet")
    assert table["id"].to_list() == exported.dataset.catalog.ids[:-1]
    vectors = np.array(table["vector"].to_list(), dtype=np.float32)
    recent = histories.last(6)
    rows, mask = recent.padded()
    padded = np.concatenate([vectors, np.zeros((1, 16), np.float32)])[rows]
    inputs = {"items": padded, "mask": mask, "times": recent.padded_times()}
    [states] = onnxruntime.InferenceSession(exported.out / "users.onnx").run(None, inputs)
    states /= np.linalg.norm(states, axis=1, keepdims=True)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found = exported.manifest.scorer.scale * states @ unit.T
    np.testing.assert_allclose(found, expected[:, :-1], atol=1e-4)


def test_what_is_there_is_not_written_over(exported: ExportedRun):
    before = (exported.out / "manifest.json").read_bytes()
    with pytest.raises(RunError, match="is there already"):
        export(exported.run, exported.out, exported.dataset)
    assert (exported.out / "manifest.json").read_bytes() == before


def test_an_encoder_that_cannot_leave_is_named_and_the_rest_is_there(exported: ExportedRun, tmp_path, monkeypatch):
    dataset = platform(users=12, items=15)
    settings = ModelSettings.from_mapping({"items": {"width": 16, "modalities": ["given"]}, "users": USERS, "prior": "none"})
    items = ItemEncoder({"given": Frames()}, ItemSettings(width=16, modalities=("given",)))
    TransRec(items, build_users(16, settings.users), CosineScorer(), settings).save(tmp_path / "run")
    monkeypatch.setattr(FolderWriter, "_users", lambda _: exported.manifest.users)  # it takes seconds, and is tested above
    found = export(tmp_path / "run", tmp_path / "out", dataset, vectors="float16")
    assert found.items["given"].graph is None
    assert found.items["given"].reason == "it prepares frames of another length for every item"
    assert found.prior is None and found.vectors.type == "float16" and found.vectors.items == 15
    assert (tmp_path / "out" / "items" / "given" / "frames.json").exists()
    assert {path.name for path in (tmp_path / "out").glob("*.onnx")} == {"fusion.onnx"}


def test_an_export_that_differs_fails_and_leaves_nothing(tmp_path, monkeypatch):
    dataset: Dataset = platform(users=5, items=10)
    settings = ModelSettings.from_mapping({"items": {"width": 16}, "users": USERS})
    TransRec.build(settings, [dataset.catalog], seed=0).save(tmp_path / "run")
    monkeypatch.setattr(parity, "TOLERANCE", 0.0)
    with pytest.raises(ExportError, match="ONNX differs from PyTorch by up to"):
        export(tmp_path / "run", tmp_path / "out", dataset)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
