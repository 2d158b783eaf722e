"""Continuing: time goes on; a run learns from newer events and items of its own platform, and does not forget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import Field
from rich.console import Console
from torch import Tensor

from transrec.data.dataset import Dataset
from transrec.data.epochs import Replay
from transrec.data.holding import holding
from transrec.data.splits import Split, split_of
from transrec.errors import DataError, RunError, SettingsError
from transrec.items.identity import IdentityEncoder
from transrec.items.settings import AUTO
from transrec.model import ModelSettings, TransRec
from transrec.recipes.fitting import NewRun, TrainSettings, fit, record_of, writes
from transrec.recipes.forgetting import SAME_PLATFORM, Earlier, checked, keep_check
from transrec.recipes.resuming import as_started, require_same, to_go_on
from transrec.rules import PROJECTIONS, SourceRule, copy_parameters, measured_names
from transrec.runs import learned_from
from transrec.settings import Settings
from transrec.training.trainer import Fit, resolve_device


class ContinueSettings(Settings):
    """How a run goes on with newer data of its platform."""

    replay: float = Field(default=0.5, ge=0, lt=1)
    """Share of an epoch's windows that are drawn from those in which nothing is new, so that what is new does not push out
    what was learned: with 0.5 as many as there are windows with a new target, as far as there are so many, other ones
    every epoch. 0: only what is new is learned."""
    check_users: int = Field(default=2000, ge=0)
    """Users of the earlier run's test on whom it is measured what the new one has forgotten, at most, and at most a fifth of
    them. What they did since the earlier training is not learned from. 0: nothing is measured."""
    allowance: float = Field(default=0.05, ge=0, lt=1)
    """Share of the earlier run's metric that may be lost on them before `serve` and `play` refuse the new run."""
    before: str = ""
    """Where the dataset that the earlier run learned from lies now; where the run says when empty."""


def carry_on(  # noqa: PLR0913  (train's, and how it goes on)
    run: str | Path,
    data: str | Path | Dataset,
    settings: TrainSettings,
    out: str | Path | None = None,
    *,
    continuing: ContinueSettings | None = None,
    resume: bool = False,
    console: Console | None = None,
) -> tuple[TransRec, Fit]:
    """Go on from a run with newer data of the same platform.

    All weights are the run's, those of an identity table by their ids; counts are of the newer data. An epoch has every
    window with something new and a share of the others. At the end the new run is measured beside the earlier one on some
    users of the earlier test, who have taught nothing new.

    Args:
        run: the earlier run.
        data: the platform as it is now: a dataset folder, or a dataset in memory. It may hold the earlier events, too, or
            the newer ones alone.
        settings: how it learns; the model is that of the run.
        out: the run folder to make; nothing is written when None.
        continuing: what is learned again, and what is measured.
        resume: go on with an interrupted training in ``out``.
        console: where tables and progress go; standard error when None.

    Returns:
        the model with the weights that validated best, and how the training went.

    Raises:
        RunError: ``run`` is not a run, ``out`` is not empty, or another process writes it.
        DataError: the data are of another platform.
        SettingsError: the settings ask for another model than the run's.
        Stopped: SIGINT or SIGTERM came; the state is kept.
    """
    chosen = continuing or ContinueSettings()
    dataset = data if isinstance(data, Dataset) else Dataset.open(data)
    folder, out_console = Path(out) if out is not None else None, console or Console(stderr=True)
    source = TransRec.load(run)
    _require_its_model(source, settings.model)
    earlier, why_not = _earlier(run, chosen, seed=settings.training.seed)
    _require_same_platform(source, earlier, dataset)
    split = _split(dataset, settings, chosen, earlier)
    split.require_trainable()
    resume = to_go_on(folder, settings, resume=resume, console=console)
    with holding(folder if writes(settings) else None, "transrec train"):
        if resume:
            settings = as_started(folder, settings)
        record = record_of([dataset], settings, source=str(Path(run).resolve()), ancestors=learned_from(run))
        record = record.model_copy(update={"continuing": chosen.model_dump(mode="json")})
        if resume:
            require_same(folder, record)
        facts = _facts(dataset, split, earlier)
        out_console.print(_told(facts, why_not), highlight=False, soft_wrap=True, markup=False)
        model = source.fresh_for(dataset.catalog, grown=True, seed=settings.training.seed)
        # what the user encoder finds among all items it finds anew, before the first epoch
        found = [SourceRule(f"users.{name}", "fresh") for name in sorted(measured_names(model.users))]
        sources = copy_parameters(model, _carried(source, model), found)
        result = fit(model, [dataset], settings, NewRun(sources, record, folder, resume, splits=[split]), console=console)
        if folder and writes(settings):
            device, metric = resolve_device(settings.training.device), settings.training.metric
            check = None
            if earlier is not None:
                check = checked(run, model, earlier, metric=metric, allowance=chosen.allowance, device=device)
            keep_check(folder, check, "" if check else why_not or "nobody was kept back", facts)
            out_console.print(str(check or why_not), highlight=False, soft_wrap=True, markup=False)
    return model, result


def _earlier(run: str | Path, chosen: ContinueSettings, *, seed: int) -> tuple[Earlier | None, str]:
    """What the run learned from; or None and why it is not known."""
    try:
        return Earlier.open(run, chosen.before, users=chosen.check_users, seed=seed), ""
    except (RunError, DataError) as error:
        if chosen.before:
            raise
        return None, error.what


def _require_its_model(source: TransRec, given: ModelSettings) -> None:
    """Raise a SettingsError when settings ask for another model than the run has."""
    own = source.settings
    items = {"platforms": own.items.platforms}
    if AUTO in given.items.modalities and set(given.items.named(())) <= set(own.items.modalities):
        items["modalities"] = own.items.modalities  # type: ignore[assignment]
    resolved = given.model_copy(update={"items": given.items.model_copy(update=items)})
    if given != ModelSettings() and resolved != own:
        differing = [name for name in type(own).model_fields if getattr(own, name) != getattr(resolved, name)]
        raise SettingsError(
            f"a run goes on with its own model, and the settings ask for other {', '.join(differing)}",
            where="model",
            remedy="leave the model's settings out, or train another model from scratch: without --from",
        )


def _require_same_platform(source: TransRec, earlier: Earlier | None, dataset: Dataset) -> None:
    """Raise a DataError when the data are of another platform, as far as that can be told."""
    if earlier is not None:
        earlier.require_same_platform(dataset)
    identity = source.items.preparers().get("identity")
    if isinstance(identity, IdentityEncoder):
        known = set(identity.ids)
        shared = sum(item_id in known for item_id in dataset.catalog.ids) / min(len(known), len(dataset.catalog))
        if shared < SAME_PLATFORM:
            raise DataError(
                f"the run knows {shared:.0%} of the items of {dataset.name} by their ids: it is another platform",
                remedy="move the run there: transrec transfer RUN DATA --out RUN2",
            )


def _split(dataset: Dataset, settings: TrainSettings, chosen: ContinueSettings, earlier: Earlier | None) -> Split:
    """What trains, with what is learned again and without what is kept back."""
    split = split_of(dataset.interactions, settings.split)
    if earlier is None:
        return split
    held = earlier.split_of_now(split, dataset)
    return replace(held, replay=Replay(earlier.new_events(dataset), chosen.replay))


def _carried(source: TransRec, model: TransRec) -> Mapping[str, Tensor]:
    """The run's tensors in the shapes of the new model: means of its first platform, the identity table as it has grown."""
    state = dict(source.state_dict())
    for name, tensor in model.state_dict().items():
        if name.startswith(PROJECTIONS) and name.endswith(".means"):
            state[name] = state[name][:1]
        if name.startswith("items.encoders.identity."):
            state[name] = tensor.clone()
    return state


def _facts(dataset: Dataset, split: Split, earlier: Earlier | None) -> dict[str, int | None]:
    """How much is new."""
    training = split.train_mask()
    known = None if earlier is None else dataset.catalog.rows(earlier.dataset.catalog.ids)
    return {
        "training_events": int(training.sum()),
        "new_events": None if split.replay is None else int((training & split.replay.new_N).sum()),
        "items": len(dataset.catalog),
        "new_items": None if known is None else len(dataset.catalog) - int((known >= 0).sum()),
        "kept_back": len(earlier.kept) if earlier else 0,
    }


def _told(facts: Mapping[str, int | None], why_not: str) -> str:
    if why_not:
        return (
            f"what is new cannot be told from what the run has learned, and what it forgets cannot be measured: {why_not}; "
            "every window is learned from once an epoch. --continuing.before says where the earlier data are"
        )
    return (
        f"{facts['new_events']:,} of {facts['training_events']:,} events that train are new, {facts['new_items']:,} of "
        f"{facts['items']:,} items; {facts['kept_back']:,} users of the earlier test are kept back"
    )
