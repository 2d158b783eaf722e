"""Bodies: the form of requests and answers, with examples; OpenAPI is made of them."""

from __future__ import annotations

from typing import Annotated, Any, final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from transrec.errors import ServingError
from transrec.serving.http.settings import ServeSettings
from transrec.serving.request import Recommendation, Recommendations

LONGEST_ID = 512
LONGEST_TEXT = 100_000
# what a column can hold: 64 bits, and no NaN, which JSON has no word for
Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Number = Annotated[float, Field(allow_inf_nan=False)]
FLOAT32 = float(np.finfo(np.float32).max)
Component = Annotated[float, Field(ge=-FLOAT32, le=FLOAT32, allow_inf_nan=False)]
Scalar = Annotated[bool, Field(strict=True)] | Whole | Number | Annotated[str, Field(max_length=LONGEST_TEXT)] | None
ItemId = Annotated[str, Field(min_length=1, max_length=LONGEST_ID)]
Time = Annotated[float, Field(allow_inf_nan=False, ge=-1e15, le=1e15)]
FORM = ConfigDict(extra="forbid", use_attribute_docstrings=True, frozen=True)


@final
class Content(BaseModel):
    """What an item is: a text, a picture, vectors, or some of them; and its columns."""

    model_config = FORM | ConfigDict(json_schema_extra={"examples": [{"text": "A red woollen scarf", "columns": {}}]})

    text: str | None = Field(default=None, max_length=LONGEST_TEXT)
    """its text"""
    image: str | None = None
    """its picture: the file as base64"""
    image_url: str | None = Field(default=None, max_length=2_000)
    """where its picture is; refused unless the service allows it"""
    vectors: dict[str, list[Component]] | None = Field(default=None, max_length=16)
    """given vectors by name, for models that read them"""
    columns: dict[str, Scalar] | None = Field(default=None, max_length=200)
    """values for columns that the catalog has, for titles and filters"""


@final
class NewItem(BaseModel):
    """An item and its id."""

    model_config = FORM | ConfigDict(
        json_schema_extra={"examples": [{"id": "new-1", "content": {"text": "A red woollen scarf"}}]}
    )

    id: ItemId
    """the platform's own name for it"""
    content: Content
    """what it is"""


@final
class Inline(BaseModel):
    """An item of a history that the catalog does not hold."""

    model_config = FORM

    id: ItemId = "inline"
    """what to call it in the answer"""
    content: Content
    """what it is"""


@final
class Asked(BaseModel):
    """A question: what fits a history."""

    model_config = FORM | ConfigDict(
        json_schema_extra={
            "examples": [
                {"history": ["i0", "i1"], "k": 5},
                {"history": ["i0", {"content": {"text": "A red woollen scarf"}}], "k": 3, "diversity": 0.3, "explain": True},
            ]
        }
    )

    history: list[ItemId | Inline] = Field(min_length=1)
    """items, oldest first: ids, or what an item is"""
    k: int = Field(default=10, ge=1)
    """how many are wanted"""
    times: list[Time | None] | None = None
    """when the events of the history were, in the unit of the dataset's (seconds, where it had dates)"""
    seen: bool = False
    """whether items of the history may be recommended again"""
    popularity: float = Field(default=1.0, ge=0, le=1_000, allow_inf_nan=False)
    """how much of what popularity is worth counts: 1 as learned, 0 for none"""
    where: str | None = None
    """a filter over columns: in_stock = true and price < 50"""
    exclude: list[ItemId] = Field(default=[])
    """ids that must not be recommended"""
    diversity: float = Field(default=0.0, ge=0, le=1)
    """from 0, the best items, to 1, items as far from each other as may be"""
    explain: bool = False
    """whether to say why"""

    def check(self, settings: ServeSettings) -> None:
        """Keep to the limits of the service.

        Raises:
            ServingError: 422; one is passed.
        """
        inline = sum(isinstance(item, Inline) for item in self.history)
        for name, given, most in (
            ("history", len(self.history), settings.max_history),
            ("exclude", len(self.exclude), settings.max_history),
            ("history", inline, settings.max_inline),
        ):
            if given > most:
                what = "items given by content" if given is inline else "items"
                raise ServingError(
                    f"{given:,} {what} are given, {most:,} are the most", status=422, where=name, remedy="send fewer"
                )
        check_k(self.k, settings)


@final
class Sought(BaseModel):
    """What is searched for: a text, a picture, or both."""

    model_config = FORM | ConfigDict(json_schema_extra={"examples": [{"text": "something warm", "k": 5}]})

    text: str | None = Field(default=None, max_length=LONGEST_TEXT)
    """a text"""
    image: str | None = None
    """a picture: the file as base64"""
    k: int = Field(default=10, ge=1)
    """how many are wanted"""
    where: str | None = None
    """a filter over columns"""
    exclude: list[ItemId] = Field(default=[], max_length=1_000)
    """ids that must not be listed"""


def check_k(k: int, settings: ServeSettings) -> None:
    """Keep to the limit of one answer.

    Raises:
        ServingError: 422; it is passed.
    """
    if not 1 <= k <= settings.max_k:
        raise ServingError(
            f"k is {k}, it can be 1 to {settings.max_k:,}",
            status=422,
            where="k",
            remedy="ask for fewer (--max-k changes the limit)",
        )


# ---- answers ----------------------------------------------------------------------------------------------------------


def as_item(found: Recommendation) -> dict[str, Any]:
    """One recommendation as JSON."""
    told: dict[str, Any] = {"id": found.id, "title": found.title, "score": found.score}
    if found.reason is not None:
        told["reason"] = {
            "content": found.reason.content,
            "counts": found.reason.counts,
            "views": dict(found.reason.views),
            "nearest": [{"id": near, "cosine": cosine} for near, cosine in found.reason.nearest],
        }
    return told


def as_list(found: Recommendations) -> dict[str, Any]:
    """Recommendations as JSON."""
    return {"items": [as_item(item) for item in found.items], "used": list(found.used), "unknown": list(found.unknown)}
