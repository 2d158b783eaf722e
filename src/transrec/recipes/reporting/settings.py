"""ReportSettings: what a report shows, and how much of it."""

from __future__ import annotations

from pydantic import Field

from transrec.settings import Settings


class ReportSettings(Settings):
    """What a report shows."""

    colour_by: str = ""
    """The column of the catalog that the map of items is coloured by; popularity when not given."""
    users: int = Field(default=10, ge=0, le=100)
    """Users that are drawn at random and shown with what they were recommended; 0 for none."""
    history: int = Field(default=8, ge=1, le=50)
    """Items of a user's history that are shown, the newest."""
    recommended: int = Field(default=8, ge=1, le=50)
    """Recommended items that are shown for a user."""
    points: int = Field(default=2000, ge=1, le=20_000)
    """Items on the map, drawn at random where there are more."""
    seed: int = Field(default=0, ge=0)
    """Of the users and items that are drawn."""
