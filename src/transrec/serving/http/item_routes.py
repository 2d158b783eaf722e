"""Routes of items: one, many, their pictures, and their coming, changing and going."""

# Annotations are values here, not texts: the framework reads them, and they name what is imported in the function.

from typing import TYPE_CHECKING, Any

from transrec.serving.http.bodies import LONGEST_ID, Content, NewItem
from transrec.serving.http.content import THUMBNAILS
from transrec.serving.http.forms import described, read_body
from transrec.serving.http.service import Service

if TYPE_CHECKING:
    from fastapi import APIRouter


def add_looking(router: "APIRouter", service: Service) -> None:
    """Give a router the routes that show items; after those that end in a word: an id may hold slashes."""
    from typing import Annotated, Literal

    from fastapi import Path, Query, Request, Response

    Id = Annotated[str, Path(max_length=LONGEST_ID, description="an item's id; a slash in it is written as %2F")]
    Where = Annotated[str | None, Query(max_length=10_000, description="a filter: in_stock = true and price < 50")]

    @router.get("/items", tags=["items"], summary="A page of items, in the order in which they came")
    async def items(
        where: Where = None,
        offset: Annotated[int, Query(ge=0, le=2**53)] = 0,
        limit: Annotated[int, Query(ge=1, le=200)] = 20,
    ) -> dict[str, Any]:
        return await service.items(where, offset, limit)

    @router.get(
        "/items/{item_id:path}/thumbnail",
        tags=["items"],
        summary="An item's picture, small",
        response_class=Response,
        responses={200: {"content": {kind: {} for kind in THUMBNAILS.values()}}, 304: {"description": "it has not changed"}},
    )
    async def thumbnail(
        request: Request,
        item_id: Id,
        side: Annotated[int, Query(ge=16, le=512, description="the longer side in pixels")] = 128,
        form: Annotated[Literal["jpeg", "webp"], Query()] = "jpeg",
    ) -> Response:
        picture, name = await service.thumbnail(item_id, side, form)
        tag = f'"{name}-{side}-{form}"'
        headers = {"ETag": tag, "Cache-Control": "private, max-age=300", "X-Content-Type-Options": "nosniff"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(picture, media_type=THUMBNAILS[form], headers=headers)

    @router.get("/items/{item_id:path}", tags=["items"], summary="What there is to say of an item")
    async def item(item_id: Id) -> dict[str, Any]:
        return await service.item(item_id)


def add_changing(router: "APIRouter", service: Service) -> None:
    """Give a router the routes that change items."""
    from typing import Annotated

    from fastapi import Path, Request, Response

    Id = Annotated[
        str, Path(min_length=1, max_length=LONGEST_ID, description="an item's id; a slash in it is written as %2F")
    ]
    both: dict[int | str, dict[str, Any]] = {201: {"description": "it is new"}}

    @router.post("/items", tags=["items"], summary="Add an item", status_code=201, openapi_extra=described(NewItem, Content))
    async def add(request: Request) -> dict[str, Any]:
        given = await read_body(request, NewItem)
        await service.put(given.id, given.content, new=True)
        return {"id": given.id, "new": True}

    @router.put(
        "/items/{item_id:path}",
        tags=["items"],
        summary="Make an item what it is now; columns alone leave its content",
        responses=both,
        openapi_extra=described(Content, Content),
    )
    async def put(request: Request, response: Response, item_id: Id) -> dict[str, Any]:
        new = await service.put(item_id, await read_body(request, Content))
        response.status_code = 201 if new else 200
        return {"id": item_id, "new": new}

    @router.delete("/items/{item_id:path}", tags=["items"], summary="Recommend an item no more", status_code=204)
    async def remove(item_id: Id) -> Response:
        await service.remove(item_id)
        return Response(status_code=204)
