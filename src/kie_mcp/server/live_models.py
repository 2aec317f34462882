"""What KIE offers today: its models beside the built-in ones, and its own words on their prices."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio

from kie_mcp.catalog import dynamic_model, search
from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Kind
from kie_mcp.catalog.model import KieModel
from kie_mcp.errors import ApiError, InvalidCall, KieMcpError
from kie_mcp.kie.discovery import Discovery, OfferedModel
from kie_mcp.kie.routes import listed
from kie_mcp.server import answers
from kie_mcp.tasks.order import Order

if TYPE_CHECKING:
    from kie_mcp.server.app import App

TOOL = "run_model"
"""The tool that runs what is only in KIE's list."""
PATIENCE = 5
"""Seconds that a call waits for what KIE says of its model's price."""
LONGEST_PRICE = 200
"""Characters of KIE's price text that a description shows."""
LONGEST_IN_LIST = 60
"""Characters of KIE's text that a row of a list shows."""
LONGEST_DESCRIPTION = 2300
"""Bytes of a description, whichever form is larger."""

Offered = Mapping[str, OfferedModel]


def built_in(name: str) -> tuple[Family, type[KieModel], str] | None:
    """The class that has this id, alias or unified id, and the way that the latter means."""
    way = f"jobs:{name.strip()}"
    for entry in search.ENTRIES:
        if way in entry.model.routes and way != f"jobs:{entry.model.id}":
            return entry.family, entry.model, way
    found = search.named(name)
    return (found.family, found.model, "") if found else None


async def stranger(live: Discovery, name: str, *, unchecked: bool = False) -> type[KieModel]:
    """A class for a model that only KIE knows.

    Raises:
        InvalidCall: When KIE does not know it either, or publishes no schema of it.
        ApiError: When KIE cannot be asked.
    """
    try:
        offered = await live.models()
    except ApiError as error:
        error.message = f"{name!r} is not built in, and KIE could not be asked for it. {error.message}"
        error.next_step = f"{_near(name)}{error.next_step}"
        raise
    if name not in offered:
        hint = f"{_near(name, offered)}find_models lists the models."
        raise InvalidCall(f"KIE offers no model {name!r}.", hint)
    kind, mode = kind_of(offered[name]), does(offered[name])
    if schema := await live.schema(name):
        return dynamic_model.model_from_schema(name, schema, kind=kind, does=mode)
    if unchecked:
        return dynamic_model.unchecked_model(name, kind=kind, does=mode)
    raise InvalidCall(
        f"KIE publishes no schema of {name}, so its input cannot be checked.",
        "Set unchecked to true if you are sure of the fields: KIE ignores what it does not know and bills it all.",
    )


def _near(name: str, offered: Iterable[str] = ()) -> str:
    close = search.near(name, offered)
    return f"Did you mean {' or '.join(close)}? " if close else ""


def kind_of(model: OfferedModel) -> Kind:
    """What a model makes, by KIE's task types."""
    ends = {mode.rpartition("-")[2] for mode in model.does}
    if "video" in ends:
        return "video"
    if ends & {"speech", "audio", "music", "sound", "dialogue", "effect"}:
        return "audio"
    return "text" if ends & {"text", "lyrics"} else "image"


def does(model: OfferedModel) -> str:
    """A model's mode."""
    return model.does[0] if model.does else ""


async def ask(app: "App") -> Offered:
    """What KIE offers today; nothing when it cannot be asked."""
    try:
        return await (await app.live()).models()
    except KieMcpError:
        return {}


async def priced(app: "App", order: Order) -> Order:
    """The order with KIE's own words on the price, where the catalogue has no figure."""
    if order.call.estimate().high is not None:
        return order
    offered: Offered = {}
    with anyio.move_on_after(PATIENCE):
        offered = await ask(app)
    known = (offered[id_] for id_ in (order.call.id, *listed(type(order.call))) if id_ in offered)
    return replace(order, live_price=next((model.price for model in known), ""))


KNOWN = frozenset(id_ for entry in search.ENTRIES for id_ in (entry.model.id, *listed(entry.model)))
"""Every id that the catalogue has a class for."""


async def describe(app: "App", name: str) -> dict[str, Any]:
    """All about one model, ours or only KIE's.

    Raises:
        KieMcpError: When there is no such model, or KIE would have to be asked and cannot be.
    """
    offered = await ask(app)
    if found := built_in(name):
        family, model, _ = found
        return search.describe(model, family.tool) | standing(model, offered)
    if not offered:
        raise InvalidCall(f"There is no model {name!r} here.", f"{_near(name)}find_models lists the models.")
    live, name = await app.live(), name.strip()
    model = await stranger(live, name, unchecked=True)
    told = {"live_price": answers.short(offered[name].price, LONGEST_PRICE) or "not told"}
    return _cut(
        search.describe(model, TOOL)
        | told
        | {"input_schema": dynamic_model.summarize_schema(await live.schema(name) or {})}
    )


def _cut(description: dict[str, Any]) -> dict[str, Any]:
    """Say less of the longest fields, and nothing of the last ones, until the description is short enough."""
    fields, about = description["input_schema"]["properties"], description["about"]
    for name in sorted(fields, key=lambda each: len(json.dumps(fields[each])), reverse=True):
        if not _too_long(description):
            break
        fields[name] = _gist(fields[name])
    everything = len(fields)
    while fields and _too_long(description):
        fields.popitem()
        description["about"] = f"{about} {everything - len(fields)} more fields have no room here."
    return description


def _too_long(description: Mapping[str, Any]) -> bool:
    forms = json.dumps(description, ensure_ascii=False), search.text(description)
    return any(len(form.encode()) > LONGEST_DESCRIPTION for form in forms)


def _gist(field: Mapping[str, Any]) -> dict[str, Any]:
    gist = {"type": field["type"]} if "type" in field else {}
    if choices := field.get("enum"):
        return gist | {
            "description": answers.short(f"one of {len(choices)}: {', '.join(map(str, choices))}", LONGEST_IN_LIST)
        }
    return gist | ({"items": {}} if "items" in field else {})


def standing(model: type[KieModel], offered: Offered) -> dict[str, str]:
    """What KIE's list of today says of a built-in model; nothing when it was not asked."""
    ids = listed(model)
    if not offered or not ids:
        return {}
    found = next((offered[id_] for id_ in sorted(ids) if id_ in offered), None)
    if found is None:
        return {"live": "gone from KIE's list of today"}
    return {"live_price": answers.short(found.price, LONGEST_PRICE)} if found.price else {}


def marked(row: dict[str, str], standing_: Mapping[str, str]) -> dict[str, str]:
    """A row of a list, with a word when KIE's list lacks the model."""
    return row | {"about": f"{row['about']} ({standing_['live']})"} if "live" in standing_ else row


def strangers(offered: Offered, words: str = "", kind: Kind | None = None, mode: str = "") -> list[dict[str, str]]:
    """Rows of the models that only KIE knows and that fit."""
    wanted = words.casefold().split()
    return [
        {
            "model": id_,
            "tool": TOOL,
            "mode": does(model),
            "credits": answers.short(model.price, LONGEST_IN_LIST) or "unknown",
            "about": f"New at KIE: {answers.short(_whose(id_, model), LONGEST_IN_LIST)}.",
        }
        for id_, model in offered.items()
        if id_ not in KNOWN
        and (kind is None or kind_of(model) == kind)
        and any(mode.casefold() in each for each in model.does or ("",))
        and all(word in f"{id_} {model.title} {model.provider} {' '.join(model.does)}".casefold() for word in wanted)
    ]


def _whose(id_: str, model: OfferedModel) -> str:
    return f"{model.title or id_}, {model.provider}".strip(", ")
