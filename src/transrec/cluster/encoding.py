"""Encoding a catalog on a cluster: windows of items as vectors by Ray Data, kept beside the run as on one machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import final

import numpy as np
import safetensors.torch
import torch
from rich.console import Console
from torch import Tensor

from transrec.cluster.asked import Cluster
from transrec.cluster.joining import joined, require_workers
from transrec.cluster.seeing import Ground
from transrec.cluster.streaming import made_in_order
from transrec.data.dataset import Dataset
from transrec.errors import ClusterError
from transrec.model import TransRec
from transrec.recipes.index import index
from transrec.retrieval.encoding import encode_rows
from transrec.retrieval.kept import Encoding, KeptVectors, Precision, fingerprint_of
from transrec.runs import open_run_data


def index_on(  # noqa: PLR0913  (that of the recipe, and on which cluster)
    cluster: Cluster,
    run: str | Path,
    data: str | Path | None = None,
    *,
    precision: Precision = "float32",
    approximate: bool = False,
    device: str = "cpu",
    console: Console | None = None,
) -> KeptVectors:
    """Encode the catalog of a run with several processes and keep the vectors beside it; see :mod:`transrec.recipes.index`.

    Each process reads windows of the Lance catalog and encodes them; this one writes them in order, so an interrupted call
    is gone on with. They are the vectors of one machine but for rounding, and bit for bit the same for any number of
    processes on the same kind of machine. Where only some items are new or have changed, this process encodes them itself.

    Args:
        cluster: which, and how many processes.
        run: the run folder.
        data: the dataset; the run's own when None.
        precision: of the vectors.
        approximate: whether lists for approximate search are made, too, by this process.
        device: where the models of the processes run: cpu, or cuda with a GPU for each.
        console: where to print; standard output when None.

    Raises:
        ClusterError: the cluster cannot be reached, has fewer CPUs or GPUs than workers, or a worker does not see a folder.
        TransRecError: what the recipe would raise.
    """
    with joined(cluster) as ray:
        require_workers(ray, cluster.workers, kind=kind_of(device))
        encoding = encoding_on(ray, cluster, run, open_run_data(run, data), device=device)
        return index(run, data, precision=precision, approximate=approximate, console=console, encoding=encoding)


def kind_of(device: str) -> str:
    """What a process on this device takes of a cluster: ``GPU`` or ``CPU``."""
    return "GPU" if device.startswith("cuda") else "CPU"


def encoding_on(ray: ModuleType, cluster: Cluster, run: str | Path, dataset: Dataset, *, device: str) -> Encoding:
    """Who encodes windows of a dataset's items under a run's model: processes of a cluster.

    Args:
        ray: connected.
        cluster: how many processes.
        run: the run folder, which they read.
        dataset: in a folder, which they read.
        device: where their models run.

    Raises:
        ClusterError: the dataset is in memory.
    """
    if dataset.folder is None:
        raise ClusterError("a dataset in memory is seen by no other process", remedy="save it: dataset.save(FOLDER)")
    given = {"ground": Ground.under([run, dataset.folder]), "run": str(run), "data": str(dataset.folder), "device": device}

    def encoding(model: TransRec, platform: int, windows: Sequence[np.ndarray]) -> Iterator[tuple[Tensor, np.ndarray]]:
        pieces = [range(int(rows[0]), int(rows[-1]) + 1) for rows in windows]
        # a model that was centred on items that it has not learned from is not the one in the folder
        state = safetensors.torch.save(model.items.projections.state_dict())
        told = {**given, "platform": platform, "projections": state, "fingerprint": fingerprint_of(model, platform)}
        for made in made_in_order(ray, cluster, Encoder, told, pieces, on_gpus=kind_of(device) == "GPU"):
            tensors = safetensors.torch.load(made)
            yield tensors["vectors"], tensors["readable"].numpy()

    return encoding


@final
class Encoder:
    """What a process of the cluster does.

    Args:
        ground: what it must see.
        run: the run folder.
        data: the dataset folder.
        device: where its model runs.
        platform: which of the model's platforms the dataset is.
        projections: their state, as safetensors.
        fingerprint: of the model.

    Raises:
        ClusterError: it sees something else than the command does.
    """

    def __init__(  # noqa: PLR0913  (what another process has to be told)
        self, *, ground: Ground, run: str, data: str, device: str, platform: int, projections: bytes, fingerprint: str
    ) -> None:
        ground.stand()
        self._model = TransRec.load(run, device="cpu")
        self._model.items.projections.load_state_dict(safetensors.torch.load(projections))
        self._catalog, self._platform = Dataset.open(data).catalog, platform
        require_same_model(self._model, platform, fingerprint)
        self._model.to(torch.device(device)).eval()

    def __call__(self, piece: range) -> bytes:
        """The vectors of these rows and which are readable, as safetensors."""
        vectors_nD, readable_n = encode_rows(self._model, self._catalog, np.arange(piece.start, piece.stop), self._platform)
        return safetensors.torch.save({"vectors": vectors_nD.contiguous(), "readable": torch.from_numpy(readable_n)})


def require_same_model(model: TransRec, platform: int, fingerprint: str) -> None:
    """See whether a worker has the model that the command has.

    Raises:
        ClusterError: it has another.
    """
    if fingerprint_of(model, platform) != fingerprint:
        raise ClusterError(
            "a worker finds another model in the run than the command does",
            remedy="keep runs on storage that every node has mounted at the same path, and let no run change meanwhile",
        )
