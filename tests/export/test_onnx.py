import sys

import pytest
import torch

from transrec.errors import ExportError, MissingExtraError
from transrec.export.graphs import Graph, Port
from transrec.export.onnx import OnnxFile, write_graph


class Chooser(Graph):
    """Asks a value what to do, which no graph can."""

    def __init__(self):
        super().__init__()
        self.inputs = (Port(name="values", type="float32", shape=("items", 3)),)
        self.output = Port(name="doubled", type="float32", shape=("items", 3))

    def forward(self, values):
        return values * 2 if bool(values.sum() > 0) else values

    def draw(self, count, length, generator):
        return (torch.rand(count, 3, generator=generator),)


def test_what_cannot_be_translated_is_told_with_the_reason(tmp_path):
    with pytest.raises(ExportError, match=r"PyTorch cannot translate it to ONNX: .+"):
        write_graph(Chooser(), tmp_path / "chooser.onnx")
    assert not (tmp_path / "chooser.onnx").exists()


def test_a_damaged_file_is_told(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"no graph")
    with pytest.raises(ExportError, match="onnxruntime cannot run it"):
        OnnxFile(tmp_path / "x.onnx")


def test_without_the_extra_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r"transrec\[export\]"):
        write_graph(Chooser(), tmp_path / "chooser.onnx")
