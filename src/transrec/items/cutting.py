"""Cut: a network run in two halves, below and from one of its blocks on, without knowing anything else about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, TypeVar, final

from torch import Tensor, nn

from transrec.errors import ModelError

Result = TypeVar("Result")
_Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class _Reached(Exception):
    """Thrown through the network when the activations at the cut are known; the rest of it need not run."""


@final
class Cut:
    """A network cut before one of its blocks, or behind the last.

    :meth:`lower` runs the network up to the cut and returns the activations there. :meth:`upper` runs it again with the
    blocks below the cut skipped, and puts given activations in at the cut: all that happens around the blocks (masks before
    them, a last normalisation behind them) happens as always. What is before the blocks runs too, and its result is thrown
    away, so the caller makes it cheap.

    Blocks may return a tensor, or a tuple or list whose first tensor is the hidden states. Whether a network can be cut
    like this is best found out by trying: see ``transrec.retrieval.prefix``. While :meth:`upper` runs, no other thread may
    run the same blocks.

    Args:
        blocks: of the network, from input to output.
        below: the block at the cut; the number of blocks stands for the end of the last.
    """

    def __init__(self, blocks: Sequence[nn.Module], below: int) -> None:
        if not 0 < below <= len(blocks):
            raise ModelError(f"there are {len(blocks)} blocks, so there is nothing to be cut at {below}")
        self.blocks = tuple(blocks)
        self.below = below
        self._skipped: dict[int, Any] = {}

    @property
    def known(self) -> bool:
        """Whether :meth:`lower` has run, so that what the blocks below return is known; :meth:`upper` needs that."""
        return len(self._skipped) == self.below

    def lower(self, run: Callable[[], object]) -> Tensor:
        """The activations at the cut while ``run`` runs the network.

        Raises:
            ModelError: the run did not pass the cut, or a block takes or returns something else than activations.
        """
        found: list[Tensor] = []

        def remember(place: int) -> Callable[..., None]:
            def hook(block: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
                last = place == len(self.blocks) - 1
                self._skipped[place] = _outline(output, None if last else _entering(arguments, named, block), block)
                if last:  # the last call counts, should the network call the block again
                    found[:] = [_first_tensor(output, block)]

            return hook

        def reached(block: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
            found.append(_entering(arguments, named, block))
            raise _Reached

        with ExitStack() as hooks:
            for place, block in enumerate(self.blocks[: self.below]):
                hooks.enter_context(_removed(block.register_forward_hook(remember(place), with_kwargs=True)))
            if self.below < len(self.blocks):
                at = self.blocks[self.below]
                hooks.enter_context(_removed(at.register_forward_pre_hook(reached, with_kwargs=True)))
            hooks.enter_context(suppress(_Reached))
            run()
        if not found:
            raise ModelError("its blocks() are not used by its forward()")
        return found[0]

    def upper(self, run: Callable[[], Result], states: Tensor) -> Result:
        """What ``run`` returns when these activations stand at the cut.

        Args:
            run: runs the network on anything whose masks and shapes suit the activations.
            states: as :meth:`lower` returned them, for any number of items.

        Raises:
            ModelError: :meth:`lower` never ran.
        """
        if not self.known:
            raise ModelError("the lower half has to run once before the upper half can be run alone")

        def enter(block: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> _Arguments:
            return _with_entering(arguments, named, states, block)

        with ExitStack() as changes:
            for place, block in enumerate(self.blocks[: self.below]):
                last = place == len(self.blocks) - 1
                changes.enter_context(_standing_in(block, self._skipped[place], states if last else None))
            if self.below < len(self.blocks):
                at = self.blocks[self.below]
                changes.enter_context(_removed(at.register_forward_pre_hook(enter, with_kwargs=True)))
            return run()


@contextmanager
def _removed(handle: Any) -> Iterator[None]:
    """A hook for as long as the context lasts."""
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _standing_in(block: nn.Module, outline: Any, states: Tensor | None) -> Iterator[None]:
    """A block that computes nothing for as long as the context lasts: it passes on what enters, or gives the states."""

    def forward(*arguments: Any, **named: Any) -> Any:
        return _filled(outline, _entering(arguments, named, block) if states is None else states)

    own = block.__dict__.get("forward")
    block.forward = forward
    try:
        yield
    finally:
        if own is None:
            del block.forward
        else:
            block.forward = own


# ---- what blocks take and return --------------------------------------------------------------------------------------


class _Hidden:
    """Marks the place of the hidden states in what a block returns."""


def _outline(output: Any, entering: Tensor | None, block: nn.Module) -> Any:
    """What a block returned, with a mark for its hidden states; other tensors shrink to one item.

    The hidden states are the first tensor. With ``entering`` given they are marked only if they have the shape of what
    entered the block: then they can be passed on from there, whatever the batch.
    """
    marked = False

    def outlined(part: Any) -> Any:
        nonlocal marked
        if isinstance(part, Tensor):
            first, marked = not marked, True
            alike = entering is None or part.shape[1:] == entering.shape[1:]
            return _Hidden() if first and alike else part[:1].detach().clone()
        if isinstance(part, tuple | list):
            return type(part)(outlined(inner) for inner in part)
        if isinstance(part, Mapping):
            raise ModelError(f"its block {type(block).__name__} returns a {type(part).__name__}, not activations")
        return part

    return outlined(output)


def _filled(outline: Any, hidden: Tensor) -> Any:
    if isinstance(outline, _Hidden):
        return hidden
    if isinstance(outline, Tensor):
        return outline.to(hidden.device)
    if isinstance(outline, tuple | list):
        return type(outline)(_filled(inner, hidden) for inner in outline)
    return outline


def _first_tensor(output: Any, block: nn.Module) -> Tensor:
    while isinstance(output, tuple | list) and output:
        output = output[0]
    if not isinstance(output, Tensor):
        raise ModelError(f"its block {type(block).__name__} returns a {type(output).__name__}, not activations")
    return output


def _entering(arguments: tuple[Any, ...], named: Mapping[str, Any], block: nn.Module) -> Tensor:
    """The activations among a block's arguments: the first tensor."""
    for value in (*arguments, *named.values()):
        if isinstance(value, Tensor):
            return value
    raise ModelError(f"its block {type(block).__name__} takes no tensor")


def _with_entering(
    arguments: tuple[Any, ...], named: Mapping[str, Any], states: Tensor, block: nn.Module
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The same arguments with other activations, on the device and of the type of those that they replace."""
    replaced = _entering(arguments, named, block)
    states = states.to(replaced)
    return (
        tuple(states if value is replaced else value for value in arguments),
        {name: states if value is replaced else value for name, value in named.items()},
    )
