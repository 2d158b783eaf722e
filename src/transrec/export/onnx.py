"""ONNX: a graph written as a file, and answers from that file by ``onnxruntime``."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from transrec.errors import ExportError, require_extra
from transrec.export.graphs import Graph

SINGLE_FILE_BYTES = 1 << 30
"""Graphs with more weights than this keep them in a file beside; a single file cannot hold 2 GiB."""
TRACED = (3, 7)
"""Items or users, and tokens or events, of the inputs that a graph is traced with. Any others do as well afterwards."""


def write_graph(graph: Graph, path: Path) -> None:
    """Write a graph as an ONNX file; every axis whose size is a name is dynamic.

    Args:
        graph: is put into evaluation mode.
        path: of the file.

    Raises:
        ExportError: PyTorch cannot translate the graph; says why.
        MissingExtraError: the extra ``export`` is not installed.
    """
    for module in ("onnx", "onnxscript"):
        require_extra(module, extra="export", purpose="writing ONNX files")
    generator = torch.Generator().manual_seed(0)
    example = graph.eval().draw(*TRACED, generator)
    dynamic = tuple({axis: size for axis, size in enumerate(port.shape) if isinstance(size, str)} for port in graph.inputs)
    try:
        with torch.no_grad(), _quiet():
            program = torch.onnx.export(
                graph,
                example,
                dynamo=True,
                input_names=[port.name for port in graph.inputs],
                output_names=[graph.output.name],
                dynamic_shapes=_shapes(graph, dynamic),
                verbose=False,
            )
            assert program is not None
            size = sum(tensor.nbytes for tensor in graph.state_dict().values())
            path.parent.mkdir(parents=True, exist_ok=True)
            program.save(str(path), external_data=size > SINGLE_FILE_BYTES)
    except Exception as error:  # tracing runs any code that an encoder has, and raises whatever that does
        raise ExportError(
            f"PyTorch cannot translate it to ONNX: {_reason(error)}", where=path.stem, remedy="serve this part with PyTorch"
        ) from error


@final
class OnnxFile:
    """An ONNX file, opened with ``onnxruntime`` on the CPU.

    Args:
        path: of the file.

    Raises:
        ExportError: ``onnxruntime`` cannot run it.
        MissingExtraError: ``onnxruntime`` is not installed.
    """

    def __init__(self, path: Path) -> None:
        runtime = require_extra("onnxruntime", extra="export", purpose="checking ONNX files")
        try:
            self._session: Any = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors have no common parent of their own
            raise ExportError(
                f"onnxruntime cannot run it: {_reason(error)}", where=path.stem, remedy="serve this part with PyTorch"
            ) from error

    def __call__(self, inputs: Sequence[Tensor]) -> np.ndarray:
        """What the file makes of these inputs, in the graph's order."""
        named = {port.name: values.numpy() for port, values in zip(self._session.get_inputs(), inputs, strict=True)}
        answer: np.ndarray = self._session.run(None, named)[0]
        return answer


def _shapes(graph: Graph, dynamic: Sequence[dict[int, str]]) -> Any:
    """The dynamic axes in the form of the signature: a ``*content`` is one argument, and a tuple in itself."""
    several = any(kind.kind is kind.VAR_POSITIONAL for kind in _parameters(graph))
    return (tuple(dynamic),) if several else tuple(dynamic)


def _parameters(graph: Graph) -> list[Any]:
    return list(inspect.signature(graph.forward).parameters.values())


@contextmanager
def _quiet() -> Iterator[None]:
    """Without remarks on other libraries that are not there and on PyTorch's own deprecations; what fails raises."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _reason(error: BaseException) -> str:
    """The first line of what was behind an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    told = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {told}" if told else type(error).__name__
