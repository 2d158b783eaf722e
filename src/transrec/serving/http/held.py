"""Held: the recommender that the service asks at the moment, and the exchange for that of a newer run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import final

from transrec.serving.recommender import Recommender

Signature = tuple[tuple[str, int, int, int], ...]
WATCHED = ("settings.yaml", "model.safetensors")
"""The files of a run folder of which a new run has new ones."""


@final
class Held:
    """One reference to a recommender. Whoever asks takes it once; an exchange does not disturb them.

    Args:
        recommender: the first one.
        load: makes the next one; None where there is nothing to load anew.
        run: the folder that it is loaded from.
    """

    def __init__(
        self, recommender: Recommender, load: Callable[[], Recommender] | None = None, *, run: Path | None = None
    ) -> None:
        self.recommender = recommender
        """The present one."""
        self.generation = 1
        """How many there have been."""
        self.run = run
        self._load = load

    @property
    def can_reload(self) -> bool:
        """Whether there is something to load anew."""
        return self._load is not None

    def reload(self) -> None:
        """Load the run anew and put it in the place of the present one, which answers until then.

        To be called where items change, so that no change falls between the two.

        Raises:
            RunError: the run cannot be loaded; the present one stays.
        """
        if self._load is None:
            return
        self.recommender.close()  # what it wrote down is read by the next one; it writes on if that fails
        self.recommender = self._load()
        self.generation += 1

    def signature(self) -> Signature | None:
        """What changes when there is another run in the folder; None while a file is missing."""
        found = []
        for name in WATCHED:
            try:
                stat = (self.run or Path()).joinpath(name).stat()
            except OSError:
                return None
            found.append((name, stat.st_ino, stat.st_size, stat.st_mtime_ns))
        return tuple(found)
