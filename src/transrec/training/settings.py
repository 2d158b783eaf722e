"""TrainingSettings: everything about how a model learns that is not the model."""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, model_validator

from transrec.data.mixing import Mixture
from transrec.settings import Settings
from transrec.training.finite import OnNonfinite

FrozenStates = Literal["float32", "bfloat16", "float16", "none"]
Precision = Literal["auto", "float32", "bfloat16"]

AUTO: Final = "auto"
RATES = ("learning_rate", "encoder_learning_rate")
"""What those multiply who try several learning rates."""
SIZES = ("batch_size", "items_at_once")
"""Settings whose number can be found by trying what fits into the memory."""


def _size(value: object) -> object:
    """A number, also as a text, or auto.

    Raises:
        ValueError: it is neither.
    """
    if value is None or value == AUTO:
        return value
    if isinstance(value, bool) or not str(value).isdecimal() or int(str(value)) < 1:
        raise ValueError("it is a whole number from 1 on, or auto")
    return int(str(value))


Size = Annotated[int | Literal["auto"], BeforeValidator(_size)]
OptionalSize = Annotated[int | Literal["auto"] | None, BeforeValidator(_size)]


class TrainingSettings(Settings):
    """The training loop."""

    epochs: int = Field(default=20, ge=1)
    """Passes over the training windows, at most; early stopping may end it before."""
    max_steps: int | None = Field(default=None, ge=1)
    """Steps at most, whatever the epochs; None for no other bound."""
    batch_size: Size = Field(default=64)
    """Windows (users) in a step, over all devices. In-batch softmax takes its negatives from the batch: larger is better.
    auto: a power of two that fits into the memory, at most 1024 and so that an epoch has at least 50 steps; the run's
    settings then have the number. Learning rates are not changed with it."""
    mixture: Mixture = "balanced"
    """Of several platforms, how many of an epoch's steps each has: balanced, all equally many; proportional, as many as it
    has batches, so that a large platform sets the tone."""
    accumulate: int = Field(default=1, ge=1)
    """Batches whose gradients are added before the weights move. In-batch negatives do not cross batches."""
    items_at_once: OptionalSize = Field(default=None)
    """Items that an encoder reads at a time; what it needs for the backward pass is then computed once more, and memory does
    not grow with the batch, at the price of one forward pass. The loss is still over all items of the batch, and the same.
    null: all of them at once. auto: all of them if they fit into the memory, else a power of two that fits; the run's
    settings then have the number."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate of everything that starts fresh: projections, fusion, user encoder, scorer, and what a tuning rule
    adds."""
    encoder_learning_rate: float = Field(default=5e-5, gt=0)
    """Peak learning rate of the modality encoders. The paper uses 1e-4 for all."""
    prior_learning_rate: float = Field(default=0.03, gt=0)
    """Peak learning rate of the few numbers that say what counts are worth, and what further interests have to win by; they
    have far to go and nothing to overfit."""
    prior_reach: float = Field(default=2.0, ge=0)
    """How far each of these numbers must be able to go in a training: where it is so short that their learning rate would
    not take them there, it is raised. 0 leaves it as it is."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """What the learning rate of an encoder's block is multiplied by for each block above it; embeddings are the lowest."""
    unfreeze_every: int | None = Field(default=None, ge=1)
    """Epochs after which the next block of every encoder begins to learn, from the top; what is above the backbones learns
    from the start (gradual unfreezing, ULMFiT). null: everything that learns does so from the start."""
    anchor: float = Field(default=0.0, ge=0)
    """Pull of copied and pre-trained weights towards where they started (L2-SP), in place of their decay. It leaves a weight
    room of about 1/anchor, so 10 to 1000 is felt; 0 for none."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's decoupled weight decay; not applied to biases, norms and temperatures."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps in which the learning rate rises from zero. The paper has none."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """What the learning rate does after the warm-up: it falls to zero as half a cosine, which lets a training of known
    length settle; or (as published) it stays."""
    clip: float | None = Field(default=1.0, gt=0)
    """Largest norm of the gradient; longer ones are scaled down, so that one odd batch cannot undo a pre-trained encoder;
    null (as published) leaves them as they are."""
    precision: Precision = "auto"
    """Arithmetic of the forward pass: auto is bfloat16 on GPUs that are built for it, float32 elsewhere. On a CPU with units
    for bfloat16 the estimate says whether steps would be faster in it."""
    frozen_states: FrozenStates = "float32"
    """What frozen lower blocks make of an item is kept in the dataset's store, so that they run once in its life and not at
    every step: in this type. float32 changes no number; bfloat16 and float16 take half the disk and are approximate; none
    runs the blocks at every step."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train; auto takes an accelerator when there is one."""
    validate_every: int = Field(default=1, ge=1)
    """Epochs between validations."""
    checkpoint_minutes: float = Field(default=10.0, ge=0)
    """Minutes between checkpoints inside an epoch; there is one after every validation in any case."""
    validation_users: int | None = Field(default=2000, ge=1)
    """Users that validation ranks, the same ones every time; None for all. The final evaluation always takes all."""
    metric: Literal["NDCG@10", "HR@10", "MRR"] = "NDCG@10"
    """The validation metric that chooses the best weights and stops training."""
    weighing_users: int | None = Field(default=10_000, ge=1)
    """Users of each platform by whom popularity is weighed after training, at most; None for all. They are more than
    validation ranks, for weighings differ by little."""
    rare_allowance: float = Field(default=0.01, ge=0, lt=1)
    """Share of the validation metric that may be given up, when popularity is weighed after training, so that items with at
    most four training events rank as well as they can; 0 for none. Only where counts are used."""
    patience: int = Field(default=4, ge=1)
    """Validations without a better metric after which training stops."""
    keep: Literal["best", "last"] = "best"
    """Which weights a training ends with: those that validated best, or the last, for a stage that learns something else
    than validation measures. With last, patience stops nothing."""
    on_nonfinite: OnNonfinite = "stop"
    """What happens at a step whose loss or gradient is not a number: stop ends the training, with the items of the step in
    nonfinite.json and the last checkpoint from before; skip leaves the weights as they are and goes on, unless it happens
    more than ten times in a row. On a GPU skip has every step wait for the one before."""
    estimate: bool = True
    """Whether a training of at least 200 steps begins by telling how long it is going to take and how much memory a step
    needs, by trying a few. It changes nothing of what is learned."""
    log_every: int = Field(default=10, ge=1)
    """Steps between rows in metrics.jsonl and points in TensorBoard."""
    tensorboard: bool = True
    """Whether to write TensorBoard files beside metrics.jsonl."""
    seed: int = Field(default=0, ge=0)
    """Of fresh weights, order, negatives and dropout."""

    @model_validator(mode="after")
    def _finds_one_size(self) -> TrainingSettings:
        if len(self.to_find) > 1:
            raise ValueError(f"{' and '.join(SIZES)} cannot both be auto: with either one, what fits is the other's affair")
        return self

    @property
    def to_find(self) -> tuple[str, ...]:
        """The sizes that are to be found."""
        return tuple(name for name in SIZES if getattr(self, name) == AUTO)

    def faster(self, factor: float) -> TrainingSettings:
        """The same training with these learning rates multiplied; the prior's has its own business and stays."""
        return self.updated({name: getattr(self, name) * factor for name in RATES})

    def longer(self, length: float) -> TrainingSettings:
        """The same training with so many times the epochs; what is counted in epochs grows alike."""
        every = self.unfreeze_every
        return self.updated(
            {
                "epochs": math.ceil(self.epochs * length),
                "validate_every": max(1, round(self.validate_every * length)),
                "unfreeze_every": every and max(1, round(every * length)),
            }
        )
