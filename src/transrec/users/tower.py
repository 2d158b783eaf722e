"""The user tower that the settings describe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from transrec.errors import ModelError
from transrec.finding import class_at
from transrec.nesting import Nesting
from transrec.users.encoder import UserEncoder
from transrec.users.gated import GatedUserEncoder
from transrec.users.interests import InterestUserEncoder
from transrec.users.lru import LRUUserEncoder
from transrec.users.missrec import MissrecUserEncoder
from transrec.users.settings import UserSettings
from transrec.users.transformer import TransformerUserEncoder

_KINDS: Mapping[str, Callable[[int, UserSettings, Nesting], UserEncoder]] = {
    "transformer": TransformerUserEncoder,
    "gated": GatedUserEncoder,
    "lru": LRUUserEncoder,
    "missrec": lambda width, settings, _: MissrecUserEncoder(width, settings),
    "custom": lambda width, settings, _: _custom(width, settings),
}


def build_users(width: int, settings: UserSettings, nested: Sequence[int] = ()) -> UserEncoder:
    """A user encoder with fresh weights.

    Args:
        width: D of item vectors and states.
        settings: which kind, and its form.
        nested: the widths that states can be cut to; the whole alone where there are none.

    Raises:
        SettingsError: the heads do not divide the width, or the kind has no such form.
        ModelError: a class of one's own cannot be found, or reads items of another width.
    """
    users = _KINDS[settings.kind](width, settings, Nesting.of(width, nested))
    return InterestUserEncoder(users, settings.interests) if settings.interests.count else users


def _custom(width: int, settings: UserSettings) -> UserEncoder:
    users = class_at(settings.custom, UserEncoder, where="model.users.custom").from_settings(width, settings)
    if users.width != width:
        told = f"{settings.custom} has the width {users.width}, items have {width}"
        raise ModelError(told, where="model.users.custom", remedy="let from_settings use the width that it is given")
    return users
