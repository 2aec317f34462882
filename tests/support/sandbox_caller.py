"""A sandbox, an HTTP client for it, and a clock that the test sets."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx2

from kie_mcp.kie import routes
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.offers import Offer
from support.example_calls import ARGUMENTS, GIVEN

KEY = {"Authorization": "Bearer sandbox"}
PICTURE = "google/nano-banana"


@dataclass
class Clock:
    now: float = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


class Kie:
    """A sandbox, and an HTTP client that sends requests to it."""

    def __init__(self, clock: Clock | None = None, **options: Any) -> None:
        self.clock = clock or Clock()
        self.sandbox = Sandbox(clock=self.clock, **options)
        self.http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self.sandbox.app), base_url="https://api.kie.ai", headers=KEY
        )

    async def get(self, path: str, **query: str) -> Any:
        return (await self.http.get(path, params=query)).json()

    async def post(self, path: str, body: Any) -> Any:
        return (await self.http.post(path, json=body)).json()

    async def job(self, model: str, **fields: Any) -> Any:
        return await self.post(routes.JOBS.create, {"model": model, "input": fields})

    async def create(self, offer: Offer) -> Any:
        body = request_for(offer)
        if offer.route.method == "GET":
            return await self.get(offer.route.create, **{name: str(value) for name, value in body.items()})
        return await self.post(offer.route.create, body)

    async def begin(self, offer: Offer) -> Callable[[], Awaitable[Any]]:
        """Start a task, and return a function that requests its status."""
        answer = await self.create(offer)

        async def ask() -> Any:
            if offer.route.at_once:
                return answer
            if offer.route.repeated:
                return await self.create(offer)
            return await self.get(offer.route.status, taskId=answer["data"]["taskId"])

        return ask

    async def picture(self, **fields: Any) -> str:
        id_: str = (await self.job(PICTURE, prompt="a lighthouse", **fields))["data"]["taskId"]
        return id_

    async def record(self, task: str) -> Any:
        return (await self.get(routes.JOBS.status, taskId=task))["data"]

    async def urls(self, task: str) -> list[str]:
        found: list[str] = json.loads((await self.record(task))["resultJson"])["resultUrls"]
        return found

    def wait(self, seconds: float = 2) -> None:
        self.clock.now += seconds


def request_for(offer: Offer) -> dict[str, Any]:
    """Return the request body that kie-mcp would send for a model on this route."""
    model = offer.model
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    call = model.model_validate({name: GIVEN[name] for name in required} | ARGUMENTS.get(model.id, {}))
    return routes.build_body(call, offer.route_id, lambda ref: f"https://files.example/{len(ref)}")
