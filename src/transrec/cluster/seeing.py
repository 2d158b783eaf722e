"""What every worker has to find on its machine as the command found it: folders on storage that all nodes share."""

from __future__ import annotations

import hashlib
import os
import socket
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import final

from transrec.data.folders import require_place
from transrec.errors import ClusterError

MARKED = ("dataset.json", "settings.yaml", "config.json")
"""The file by which a folder is known: of a dataset, a run, a backbone."""


@final
@dataclass(frozen=True, slots=True)
class Ground:
    """What a command stands on.

    Attributes:
        folder: the working directory, from which relative paths start.
        digests: of the files that a worker must find with the same content, by absolute path.
    """

    folder: str
    digests: Mapping[str, str]

    @classmethod
    def under(cls, folders: Iterable[str | Path]) -> Ground:
        """The ground of a command that reads these folders; names that are no folders here (of a hub) are left aside."""
        marks = [Path(folder).resolve() / name for folder in folders for name in MARKED]
        return cls(str(Path.cwd()), {str(path): _digest(path) for path in marks if path.is_file()})

    @contextmanager
    def writing(self, out: Path) -> Iterator[Ground]:
        """The same with a mark beside what is to be written, which is gone when the context ends.

        Raises:
            DataError: nothing can be put there.
        """
        require_place(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        mark = out.resolve().with_name(f".{out.name}.{uuid.uuid4().hex[:12]}")
        try:
            mark.write_text(f"{mark.name}: workers of a cluster look here whether they see this folder\n")
            yield Ground(self.folder, {**self.digests, str(mark): _digest(mark)})
        finally:
            mark.unlink(missing_ok=True)

    def stand(self) -> None:
        """Go where the command was given, and see whether everything is there; called by a worker.

        Raises:
            ClusterError: something is not, or is something else.
        """
        try:
            os.chdir(self.folder)
        except OSError:
            raise _unseen(self.folder, "cannot see the folder in which the command was given") from None
        for name, digest in self.digests.items():
            path = Path(name)
            try:
                found = _digest(path)
            except OSError:
                what = (
                    "cannot see the folder" if not path.parent.is_dir() else "sees another folder than the command does at"
                )
                raise _unseen(str(path.parent), what) from None
            if found != digest:
                raise _unseen(str(path.parent), f"finds another {path.name} than the command does in")


def _unseen(folder: str, what: str) -> ClusterError:
    return ClusterError(
        f"a worker on {socket.gethostname()} {what} {folder}",
        where=folder,
        remedy="keep data, runs and encoders on storage that every node has mounted at the same path; data and encoders may "
        "as well be copied to that path on every node",
    )


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
