"""What clients are told and what KIE is sent, held against what was agreed: tests/snapshots.

`scripts/test tests/catalog/test_snapshots.py --write-snapshots` writes them anew; a change is then read in the
diff.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from support.cases import for_each
from support.example_calls import ARGUMENTS, DETAILS, EXAMPLES, GIVEN, PERSONA
from support.paths import SNAPSHOTS
from support.snapshots import matches_snapshot

from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.registry import MODELS
from kie_mcp.kie import routes
from kie_mcp.server.tools import tool_list

TOOLS = {tool["name"]: tool for tool in tool_list.build_tools()}


def wire(id_: str) -> Path:
    return SNAPSHOTS / "wire" / f"{id_.replace('/', '_')}.json"


def representative(model: type[KieModel]) -> dict[str, Any]:
    """Arguments that fill as many fields as go together, without closing a way to run the model."""
    required = {name: GIVEN[name] for name, field in model.model_fields.items() if field.is_required()}
    arguments = required | ARGUMENTS.get(model.id, {})
    for more in (*EXAMPLES.get(model.id, ()), {**DETAILS, **PERSONA}, *samples(model)):
        wider = arguments | more | arguments
        if runs_as_widely(model, wider):
            arguments = wider
    return arguments


def samples(model: type[KieModel]) -> Iterator[dict[str, Any]]:
    """An argument for each field, not its default where there is another."""
    for name, field in model.plain_schema()["properties"].items():
        match field:
            case {"enum": [*values]}:
                yield {name: next((each for each in reversed(values) if each != field.get("default")), values[0])}
            case {"type": "boolean"}:
                yield {name: not field.get("default", False)}
            case {"type": "integer" | "number"}:
                yield {name: field.get("maximum", field.get("minimum", 1))}
            case _ if name in GIVEN:
                yield {name: GIVEN[name]}
            case {"type": "string"}:
                yield {name: "a"}


def runs_as_widely(model: type[KieModel], arguments: dict[str, Any]) -> bool:
    try:
        return model.model_validate(arguments).route_ids() == model.model_construct().route_ids()
    except ValidationError:
        return False


@for_each("name", TOOLS)
def test_a_tool_is_told_as_agreed(name: str, request: pytest.FixtureRequest) -> None:
    assert matches_snapshot(SNAPSHOTS / "tools" / f"{name}.json", TOOLS[name], request)


@for_each("id_", MODELS)
def test_a_call_is_sent_as_agreed(id_: str, request: pytest.FixtureRequest) -> None:
    arguments = representative(MODELS[id_])
    call = MODELS[id_].model_validate(arguments)
    bodies = {way: routes.build_body(call, way, lambda ref: f"<{ref}>") for way in call.route_ids()}
    assert matches_snapshot(wire(id_), {"arguments": arguments, "bodies": bodies}, request)


def test_nothing_gone_is_still_agreed(request: pytest.FixtureRequest) -> None:
    agreed = {SNAPSHOTS / "tools" / f"{name}.json" for name in TOOLS} | {wire(id_) for id_ in MODELS}
    gone = {*SNAPSHOTS.glob("tools/*.json"), *SNAPSHOTS.glob("wire/*.json")} - agreed
    if request.config.getoption("--write-snapshots"):
        for snapshot in gone:
            snapshot.unlink()
    else:
        assert not gone


def test_models_do_not_share_a_snapshot() -> None:
    assert len({str(wire(id_)).casefold() for id_ in MODELS}) == len(MODELS)
