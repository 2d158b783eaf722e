"""Lesson: one training of a course, with everything in place: it says what it does to every parameter, and does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import final

from rich.console import Console

from transrec.data.batches import Batches, SequenceBatch
from transrec.model import TransRec
from transrec.objectives import build_objective
from transrec.objectives.objective import Objective
from transrec.recipes.attuning import attune
from transrec.recipes.platform import Platform, batches_of
from transrec.recipes.stages import Stage
from transrec.recipes.starting import mean_validation
from transrec.recipes.weighing import weigh_popularity
from transrec.rules import Fate, anchored, fates, plain_name
from transrec.training.optimiser import Pace
from transrec.training.trainer import Fit, Trainer


@final
@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """One training of a course.

    Attributes:
        platforms: what is learned from.
        objective: what is made smaller.
        batches: of the platforms, as the objective asks for them.
        trainer: of this stage.
        fates: what it makes of every parameter.
    """

    platforms: Sequence[Platform]
    objective: Objective
    batches: Batches
    trainer: Trainer
    fates: Sequence[Fate]

    @classmethod
    def of(
        cls,
        model: TransRec,
        platforms: Sequence[Platform],
        stage: Stage,
        sources: Mapping[str, str],
        *,
        folder: Path | None = None,
        console: Console | None = None,
    ) -> Lesson:
        """Put everything of a stage in place; the weights stay as they are.

        Args:
            model: tuned for this stage.
            platforms: what to learn from.
            stage: what to learn, and how; its sizes are numbers.
            sources: by parameter, where its value comes from.
            folder: for checkpoints and logs.
            console: where progress goes.

        Raises:
            TrainingError: blocks are to be unfrozen, and no backbone learns.
            ModelError: the objective cannot train the model, or there is layer decay or unfreezing, and an encoder does not
                say what its blocks are.
        """
        loop = stage.training
        objective = build_objective(stage.objective, model, seed=loop.seed)
        batches = batches_of(platforms, objective, loop)
        became = fates(model, sources)
        ids, before = partial(_ids, platforms), partial(attune, platforms, loop.seed)
        held = anchored(became)
        trainer = Trainer(loop, folder, console=console, anchored=held, name_items=ids, before_epoch=before)
        return cls(platforms, objective, batches, trainer, _paced(became, trainer.paces(model, batches)))

    def fit(self, model: TransRec, *, resume: bool = False) -> Fit:
        """Train: the model goes in with the weights of the stage before and comes out with those of this one.

        Args:
            model: the same, on its device.
            resume: whether to go on from the last checkpoint in the folder.
        """
        loop, console = self.trainer.settings, self.trainer.console

        def validate(learned: TransRec) -> Mapping[str, float]:
            return mean_validation(learned, self.platforms, users=loop.validation_users)

        with self.objective.lending(model):
            result = self.trainer.fit(model, self.objective, self.batches, validate, resume=resume)
        if model.prior is None or not self.objective.asks_counts:
            return result
        weighed = weigh_popularity(
            model, self.platforms, metric=loop.metric, users=loop.weighing_users, allowance=loop.rare_allowance
        )
        if console:
            told = f"popularity x {weighed.factor:g}, what is new {weighed.added:+g}; {loop.metric} {weighed.reached:.4f}"
            most = f", of at most {weighed.highest:.4f}, for the sake of rare items"
            spent = "" if weighed.reached == weighed.highest else most
            console.print(f"weighed by validation: {told}{spent}", highlight=False)
        return replace(result, best=weighed.highest, weighed=weighed.settings)


def _paced(became: Sequence[Fate], paces: Mapping[str, Pace]) -> list[Fate]:
    """Fates that say how fast, and from when on, each parameter learns; paces go by the names that it has in training."""
    by_name = {plain_name(name): pace for name, pace in paces.items()}
    found = []
    for fate in became:
        pace = by_name.get(fate.name)
        found.append(replace(fate, rate=pace.rate, from_epoch=pace.from_epoch, held=pace.held) if pace else fate)
    return found


def _ids(platforms: Sequence[Platform], batch: SequenceBatch) -> list[str]:
    """The ids of a batch's items."""
    ids = platforms[batch.items.platform].dataset.catalog.ids
    return [ids[row] for row in batch.rows_U.tolist()]
