"""Routes that ask: recommendations, what is similar, search."""

# Annotations are values here, not texts: the framework reads them, and they name what is imported in the function.

from typing import TYPE_CHECKING, Any

from transrec.serving.http.bodies import LONGEST_ID, Asked, Content, Sought
from transrec.serving.http.forms import described, read_body
from transrec.serving.http.service import Service

if TYPE_CHECKING:
    from fastapi import APIRouter

PROBLEM = {
    "description": "what is wrong, where, and what to do about it (RFC 9457)",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail", "what", "where", "remedy"],
                "properties": {
                    **{name: {"type": "string"} for name in ("type", "title", "detail", "what", "remedy")},
                    "status": {"type": "integer"},
                    "where": {"type": ["string", "null"]},
                },
            }
        }
    },
}
STATUSES: tuple[int | str, ...] = (400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 500, 503)
PROBLEMS: dict[int | str, dict[str, Any]] = dict.fromkeys(STATUSES, PROBLEM)


def add_asking(router: "APIRouter", service: Service) -> None:
    """Give a router the routes that ask the model."""
    from typing import Annotated

    from fastapi import Path, Query, Request

    Id = Annotated[str, Path(max_length=LONGEST_ID, description="an item's id; a slash in it is written as %2F")]
    K = Annotated[int, Query(ge=1, description="how many are wanted")]
    Where = Annotated[str | None, Query(max_length=10_000, description="a filter: in_stock = true and price < 50")]

    @router.post("/recommendations", tags=["asking"], summary="The items that fit a history best")
    async def recommendations(asked: Asked) -> dict[str, Any]:
        return await service.recommend(asked)

    @router.get("/items/{item_id:path}/similar", tags=["asking"], summary="The items nearest to one")
    async def similar(item_id: Id, k: K = 10, where: Where = None) -> dict[str, Any]:
        return await service.similar(item_id, k, where)

    @router.post(
        "/search",
        tags=["asking"],
        summary="The items most like a text, a picture, or both",
        openapi_extra=described(Sought, Sought),
    )
    async def search(request: Request) -> dict[str, Any]:
        sought = await read_body(request, Sought)
        return await service.search(Content(text=sought.text, image=sought.image), sought.k, sought.where, sought.exclude)


def add_operations(router: "APIRouter", service: Service) -> None:
    """Give a router the routes for whoever runs the service."""
    from fastapi import Response

    @router.get("/health", tags=["operations"], summary="Whether the process lives")
    async def health() -> dict[str, Any]:
        return {"status": "alive"}

    @router.get("/ready", tags=["operations"], summary="Whether the index is loaded")
    async def ready() -> dict[str, Any]:
        return {"status": "ready", "items": service.count(), "generation": service.held.generation}

    @router.get("/metrics", tags=["operations"], summary="Metrics for Prometheus", response_class=Response)
    async def metrics() -> Response:
        text = service.metrics.text(service.count(), service.held.generation)
        return Response(text, media_type=service.metrics.content_type)

    @router.post("/admin/reload", tags=["operations"], summary="Go on with the run as it is on disk now")
    async def reload() -> dict[str, Any]:
        return {"generation": await service.reload(), "items": service.count()}
