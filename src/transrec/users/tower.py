"""The user tower that the settings describe."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from transrec.users.encoder import UserEncoder
from transrec.users.gated import GatedUserEncoder
from transrec.users.interests import InterestUserEncoder
from transrec.users.settings import UserSettings
from transrec.users.transformer import TransformerUserEncoder

_KINDS: Mapping[str, Callable[[int, UserSettings], UserEncoder]] = {
    "transformer": TransformerUserEncoder,
    "gated": GatedUserEncoder,
    "interests": InterestUserEncoder,
}


def build_users(width: int, settings: UserSettings) -> UserEncoder:
    """A user encoder with fresh weights.

    Args:
        width: D of item vectors and states.
        settings: which kind, and its form.

    Raises:
        SettingsError: the heads do not divide the width, or the kind has no such form.
    """
    return _KINDS[settings.kind](width, settings)
