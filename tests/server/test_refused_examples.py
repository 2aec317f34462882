"""Examples of KIE's own pages that an earlier version refused, run as they stand there."""

import json
from typing import Any

import pytest
from mcp import Client
from support.cases import for_each
from support.clock import JumpingClock
from support.paths import FACTS

from kie_mcp.catalog.arguments import tidy
from kie_mcp.catalog.registry import MODELS
from kie_mcp.kie import routes
from kie_mcp.sandbox.app import Sandbox

pytestmark = pytest.mark.anyio

EXAMPLES: list[dict[str, Any]] = json.loads((FACTS / "refused-examples.json").read_text(encoding="utf-8"))

SENT_OTHERWISE = {
    # Some pages give a number, others a text.
    "cn/runway-api/quickstart.md": {"duration"},
    # The older name of aspect_ratio.
    "cn/market/google/nano-banana-edit.md": {"image_size"},
    # The page says itself that KIE takes a task or pictures, and ignores the shape where there is one picture.
    "market/grok-imagine/image-to-video.md": {"aspect_ratio", "task_id"},
}
"""Fields that need not be sent with the name and the type that the page gives."""


@pytest.fixture
def sandbox(clock: JumpingClock) -> Sandbox:
    """A KIE that still runs what its pages document no more."""
    return Sandbox(seconds=4, clock=clock.time, legacy=True)


def model_of(example: dict[str, Any]) -> str:
    """The model that an example's call runs."""
    body, path = example["body"], example["call"].removeprefix("POST ")
    if path == example["call"]:
        return str(body["model"])
    made = [model for model in MODELS.values() if path in [routes.find(way).create for way in model.routes]]
    named = [model for model in made if model.constants.items() <= body.items()]
    return (named or made)[0].id


def pasted(example: dict[str, Any]) -> dict[str, Any]:
    """What somebody gives to run_model: a body of the one endpoint as it stands, another with its model."""
    body: dict[str, Any] = example["body"]
    return body if "model" in body else {"model": model_of(example), "input": body}


@for_each("page, example", [(example["page"], example) for example in EXAMPLES])
async def test_an_example_of_kies_runs_as_it_stands(
    client: Client, sandbox: Sandbox, page: str, example: dict[str, Any]
) -> None:
    earlier = len(sandbox.accepted)
    result = await client.call_tool("run_model", pasted(example))
    assert not result.is_error, result.content
    (task,) = sandbox.accepted[earlier:]
    body = example["body"]
    fields, sent = body.get("input", body), task.body.get("input", task.body)
    told = tidy({name: value for name, value in fields.items() if name not in ("model", "callBackUrl")})
    changed = {name: value for name, value in told.items() if sent.get(name) != value}
    assert changed.keys() <= SENT_OTHERWISE.get(page, set()), changed
