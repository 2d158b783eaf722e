import numpy as np
import pytest
import torch

from transrec.errors import ExportError
from transrec.export.graphs import FusionGraph
from transrec.export.onnx import OnnxFile, write_graph
from transrec.export.parity import Case, difference, measured
from transrec.items.fusion import ConcatFusion
from transrec.nesting import Nesting


def test_differences_are_shares_of_the_size_of_the_numbers():
    expected = np.array([[3.0, -4.0], [0.0, 5.0]], dtype=np.float32)  # root mean square: sqrt(50 / 4)
    found = expected + np.array([[0.0, 0.5], [0.0, 0.0]], dtype=np.float32)
    assert difference(expected, found) == pytest.approx((0.5, 0.5 / np.sqrt(12.5)))
    assert difference(expected, expected) == (0.0, 0.0)


def test_what_is_not_a_number_differs_infinitely():
    expected, found = np.ones((1, 2)), np.array([[1.0, np.nan]])
    assert difference(expected, found) == (np.inf, np.inf)
    assert difference(found, found)[1] == np.inf


def test_anything_beside_zeros_differs_infinitely():
    assert difference(np.zeros((2, 2)), np.full((2, 2), 1e-9))[1] == np.inf


def test_another_shape_is_an_error():
    with pytest.raises(ExportError, match=r"shape \(1, 2\), PyTorch with \(2, 2\)"):
        difference(np.zeros((2, 2)), np.zeros((1, 2)))


def test_a_file_of_other_weights_is_refused_and_real_cases_count_too(tmp_path):
    graph = FusionGraph(ConcatFusion(("a", "b"), Nesting.of(4)), ("a", "b"), 4)
    write_graph(graph, tmp_path / "fusion.onnx")
    file = OnnxFile(tmp_path / "fusion.onnx")
    inputs = graph.draw(4, 1, torch.Generator().manual_seed(0))
    expected = graph(*inputs).detach()
    found = measured(graph, file, [Case(inputs, expected)])
    assert found.compared == 4 + 8 and 0 < found.relative < 1e-5
    with pytest.raises(ExportError, match="ONNX differs from PyTorch by up to"):
        measured(graph, file, [Case(inputs, expected + 0.01)])
    with torch.no_grad():
        graph.fusion.maps["a"].weight.add_(0.01)
    with pytest.raises(ExportError, match="ONNX differs from PyTorch by up to"):
        measured(graph, file)
