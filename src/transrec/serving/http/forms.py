"""Forms: bodies that come as JSON or as multipart with a picture file, read into the same values."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from transrec.errors import ServingError
from transrec.serving.http.problems import of_validation

if TYPE_CHECKING:
    from fastapi import Request

Body = TypeVar("Body", bound=BaseModel)
_FIELDS = 50


async def read_body(request: Request, form: type[Body]) -> Body:
    """The body of a request.

    Of multipart, ``image`` is a file; other parts are text, and ``columns``, ``vectors`` and ``exclude`` are JSON in it.
    What is in ``content`` of the JSON form stands beside ``id``.

    Args:
        request: whose body is in memory already.
        form: what it has to be.

    Raises:
        ServingError: 400 or 422; it is not.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data":
        values = await _of_parts(request)
        if "content" in form.model_fields:
            values = {"id": values.pop("id", None), "content": values}
    else:
        values = _json(await request.body(), "body")
    try:
        return form.model_validate(values)
    except ValidationError as error:
        raise of_validation(error.errors()) from None


async def _of_parts(request: Request) -> dict[str, Any]:
    from starlette.exceptions import HTTPException

    values: dict[str, Any] = {}
    try:
        async with request.form(max_files=1, max_fields=_FIELDS) as parts:
            for name, part in parts.multi_items():
                if name in values:
                    raise ServingError(f"the part {name!r} is given twice", status=422, where=name, remedy="give it once")
                if not isinstance(part, str):
                    if name != "image":
                        raise ServingError(f"{name!r} is a file", status=422, where=name, remedy="only `image` can be one")
                    # the same way as in JSON from here on: it is decoded once, within the limits, beside the event loop
                    values[name] = base64.b64encode(await part.read()).decode()
                elif name in ("columns", "vectors", "exclude"):
                    values[name] = _json(part.encode(errors="replace"), name)
                elif name == "image":
                    raise ServingError(
                        "`image` is text", status=422, where="image", remedy="send it as a file (curl: -F image=@FILE)"
                    )
                else:
                    values[name] = part
    except (HTTPException, KeyError, AttributeError) as error:  # the parser raises the others on boundaries that are none
        raise ServingError(
            f"the multipart body cannot be read: {getattr(error, 'detail', 'it has no boundary')}",
            status=400,
            remedy="see RFC 7578",
        ) from None
    return values


def _json(raw: bytes, where: str) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        told = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
        raise ServingError(f"this is not JSON: {told}", status=400, where=where, remedy="send a JSON document") from None


def described(form: type[BaseModel], parts: type[BaseModel]) -> dict[str, Any]:
    """The two forms of a body, for OpenAPI.

    Args:
        form: as JSON.
        parts: as multipart.
    """
    schema = _inlined(form.model_json_schema())
    fields = dict(_inlined(parts.model_json_schema())["properties"])
    required = ["id"] if "id" in form.model_fields else []
    properties = {name: {"type": "string", "description": fields[name].get("description", "")} for name in fields}
    properties["image"]["format"] = "binary"
    if required:
        properties = {"id": {"type": "string", "minLength": 1}, **properties}
    multipart = {"type": "object", "properties": properties, "required": required}
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema}, "multipart/form-data": {"schema": multipart}},
        }
    }


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with what it refers to in its place."""
    defined = schema.pop("$defs", {})

    def whole(part: Any) -> Any:
        if isinstance(part, dict):
            if "$ref" in part:
                return whole(defined[part["$ref"].rpartition("/")[2]])
            return {name: whole(value) for name, value in part.items()}
        return [whole(value) for value in part] if isinstance(part, list) else part

    found: dict[str, Any] = whole(schema)
    return found
