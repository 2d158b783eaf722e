"""Export: a run as a folder of ONNX graphs and item vectors, for programs without PyTorch."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from transrec.data.dataset import Dataset
from transrec.data.folders import made_once, require_place
from transrec.errors import RunError, require_extra
from transrec.export.folder import Exported, FolderWriter, require_vectors
from transrec.export.manifest import Manifest, VectorType
from transrec.model import TransRec
from transrec.recipes.showing import next_steps, progress_bar
from transrec.runs import open_run_data, place_in
from transrec.serving.recommender import Recommender


def export(
    run: str | Path,
    out: str | Path,
    data: str | Path | Dataset | None = None,
    *,
    vectors: VectorType = "float32",
    console: Console | None = None,
) -> Manifest:
    """Write ONNX graphs of both towers, what reads raw content, the item vectors, and a manifest; checked against PyTorch.

    Args:
        run: the run folder.
        out: the folder to write; it appears when everything in it is whole.
        data: whose items; the run's own dataset when None.
        vectors: type of the numbers of item vectors.
        console: where it is told; standard output when None.

    Raises:
        RunError: the folder is not a run, its data has moved or changed, or ``out`` is there already.
        ExportError: a graph answers otherwise than PyTorch, the user tower or the fusion cannot be translated, or the model
            reads more of an item than its vector.
        MissingExtraError: the extra ``export`` is not installed.
    """
    told, out = console or Console(highlight=False, soft_wrap=True), Path(out)
    for module in ("onnx", "onnxscript", "onnxruntime"):
        require_extra(module, extra="export", purpose="transrec export")
    if out.exists():
        raise RunError(f"{out} is there already", remedy="give another --out, or remove it")
    require_place(out)
    model = TransRec.load(run)
    require_vectors(model)
    dataset = data if isinstance(data, Dataset) else open_run_data(run, data)
    place = 0 if data is None else place_in(run, dataset)
    found: list[Manifest] = []
    with progress_bar() as progress:
        recommender = Recommender.of(model, dataset, place=place, progress=progress)
        exported = Exported(recommender.model, dataset, recommender.index, place or 0, Path(run).resolve().name)
        made_once(out, lambda folder: found.append(FolderWriter(exported, folder, progress).write(vectors)))
    told.print(_table(found[0]))
    for name, record in found[0].items.items():
        if record.graph is None:
            told.print(f"{name} has no graph: {record.reason}", markup=False)
        elif record.text is not None and record.text.tokenizer is None:
            told.print(f"{name}: only transformers splits texts as the model does; the file tokenizer.json does not")
    told.print(_counted(found[0], out), markup=False)
    if found[0].prior is not None:
        told.print(
            "in no graph: what counts add to scores; of it, popularity is the column prior of items.parquet, and what tends "
            "to follow or is had together is not exported (transrec recommend --all and transrec serve have it)"
        )
    next_steps(f"python examples/onnx_serving.py {out} --history ID,ID")
    return found[0]


def _table(manifest: Manifest) -> Table:
    table = Table("file", "takes", "gives", "from PyTorch, at most", "relative", title="ONNX", title_justify="left")
    for file, graph in manifest.graphs.items():
        takes = ", ".join(f"{port.name} {port.type} {_axes(port.shape)}" for port in graph.inputs)
        gives = f"{graph.output.name} {_axes(graph.output.shape)}"
        table.add_row(file, takes, gives, f"{graph.parity.absolute:.1e}", f"{graph.parity.relative:.1e}")
    return table


def _axes(shape: tuple[int | str, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"


def _counted(manifest: Manifest, out: Path) -> str:
    vectors = manifest.vectors
    left_out = f", {vectors.left_out:,} that the model cannot read left out" if vectors.left_out else ""
    return f"{vectors.items:,} item vectors{left_out}; all of it is in {out}"
