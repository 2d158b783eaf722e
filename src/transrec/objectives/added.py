"""AddedTerms: an objective with others beside it, each times a weight, on the same batch and forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pydantic import Field
from torch import Tensor, nn

from transrec.data.batches import SequenceBatch
from transrec.data.windows import WindowPlan
from transrec.errors import SettingsError
from transrec.model import Outputs, TransRec
from transrec.objectives.objective import Loss, Objective
from transrec.settings import Settings


class AddedSettings(Settings):
    """Terms beside an objective, each with its weight; none where it is 0."""

    barlow: float = Field(default=0.0, ge=0)
    """Weight of Barlow Twins, whose loss is a sum over the width of its projector: begin with about one by that."""
    seq_seq: float = Field(default=0.0, ge=0)
    """Weight of the contrast of sequences with their augmented views, as in MISSRec: 0.001 there."""
    orthogonality: float = Field(default=0.0, ge=0)
    """Weight of what the interests of a user add up to, as in MISSRec: 0.0001 there. For user encoders with interests."""
    custom: float = Field(default=0.0, ge=0)
    """Weight of the objective of your own that objective.custom names."""
    diversity: float = Field(default=0.0, ge=0)
    """Eta, the weight of diversity control among several interests of a user. The paper takes about 10."""

    @property
    def weights(self) -> dict[str, float]:
        """The weights of the terms that there are, by name."""
        return {name: weight for name, weight in self.model_dump().items() if weight}


class AddedTerms(Objective):
    """``L = L_main + sum_k w_k L_k``.

    The windows are those of the main objective, at whose histories the terms look, and so is what is remembered.

    Args:
        main: the objective.
        terms: by name, what is added, each with its weight.

    Raises:
        SettingsError: a term learns from something else than histories, which batches of the main objective do not have, or
            two terms want other views of them.
    """

    def __init__(self, main: Objective, terms: Mapping[str, tuple[float, Objective]]) -> None:
        super().__init__()
        for name, (_, term) in terms.items():
            if term.plan.targets != "none":
                raise SettingsError(
                    f"{name} has targets of its own, the batches have those of the main objective",
                    where="objective.added",
                    remedy="train it as a stage before",
                )
        self.main, self.weights = main, {name: weight for name, (weight, _) in terms.items()}
        self.terms = nn.ModuleDict({name: term for name, (_, term) in terms.items()})
        wanted = {name: plan.views for name, plan in self._plans().items() if plan.views is not None}
        if len(set(map(str, wanted.values()))) > 1:
            raise SettingsError(
                f"{' and '.join(wanted)} want other views of the histories, and a batch has one kind",
                where="objective.added",
                remedy=f"give them the same: {', '.join(f'objective.{name}.views' for name in wanted)}",
            )
        self.plan = replace(main.plan, views=next(iter(wanted.values()), None))
        self.asks_counts, self.teaches_ranking = main.asks_counts, main.teaches_ranking
        heads = {name: own.head for name, own in [("main", main), *self._each()] if own.head is not None}
        self.head = nn.ModuleDict(heads) if heads else None

    def check(self, model: TransRec) -> None:
        for own in (self.main, *(term for _, term in self._each())):
            own.check(model)

    def state(self) -> dict[str, Tensor]:
        return self.main.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.main.restore(state)

    def forward(self, model: TransRec, outputs: Outputs, batch: SequenceBatch) -> Loss:
        found: Loss = self.main(model, outputs, batch)
        total, parts = found.total, dict(found.parts)
        for name, term in self._each():
            added: Loss = term(model, outputs, batch)
            total, parts = total + self.weights[name] * added.total, {**parts, **added.parts}
        return Loss(total, parts)

    def _plans(self) -> dict[str, WindowPlan]:
        """The plans of the main objective and the terms, by name."""
        return {"the objective": self.main.plan, **{name: term.plan for name, term in self._each()}}

    def _each(self) -> list[tuple[str, Objective]]:
        return [(name, term) for name, term in self.terms.items() if isinstance(term, Objective)]
