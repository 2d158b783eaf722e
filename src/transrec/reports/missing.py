"""Missing: a part that a report cannot show, why, and the command that makes it."""

from __future__ import annotations

from dataclasses import dataclass

from transrec.errors import TransRecError


@dataclass(frozen=True, slots=True)
class Missing:
    """A part that is not there.

    Attributes:
        what: what is missing, and why, as a sentence.
        command: what makes it; empty where no command does.
    """

    what: str
    command: str = ""

    @classmethod
    def because(cls, error: TransRecError, *, command: str = "") -> Missing:
        """What an error says, with the command that mends it, or else the error's own remedy."""
        what = error.what[:1].upper() + error.what[1:]
        return cls(f"{what}.", command or error.remedy or "")
