"""Use KIE's current list of models: its prices, and its models that are not in the built-in catalogue."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import anyio

from kie_mcp.catalog import dynamic_model, search
from kie_mcp.catalog.credits import usd_field
from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Kind
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.names import tell_to_choose
from kie_mcp.catalog.published_schema import UnusableSchema
from kie_mcp.catalog.registry import MODELS
from kie_mcp.errors import ApiError, InvalidCall, KieMcpError
from kie_mcp.film.timeline import EDIT_MODEL, EDIT_TOOL, Timeline
from kie_mcp.kie.discovery import Discovery
from kie_mcp.kie.routes import listed_ids
from kie_mcp.kie.snapshot import OfferedModel
from kie_mcp.server.live_fields import LIVE_TIMEOUT_SECONDS, describe_changes
from kie_mcp.tasks.order import Order
from kie_mcp.text import one_line, quote_given, shorten

if TYPE_CHECKING:
    from kie_mcp.server.app import App

RUN_MODEL_TOOL = "run_model"
"""Name of the tool that can run every model in KIE's list, also models that are not in the built-in catalogue."""
LONGEST_PRICE = 200
"""Maximum number of characters of KIE's price text in the answer of `describe_model`."""
LONGEST_ID = 90
"""Maximum number of characters of a model id in a row of `find_models`; KIE's longest id has about 45 characters."""
LONGEST_IN_LIST = 60
"""Maximum characters of a title or price in a row of `find_models`, and of a field's choices in `describe_model`."""
MAX_DESCRIPTION_BYTES = 2300
"""Maximum bytes of the JSON form of an answer of `describe_model`, and maximum bytes of its text form."""

BuiltIn = tuple[Family, type[KieModel], str]
"""A model with its family and the id of the only route that its name allows; the id is empty for any route."""

OfferedModels = Mapping[str, OfferedModel]
"""For each model id in KIE's list of models, the model's data in this list; empty if KIE did not answer."""


def list_built_in(name: str) -> list[BuiltIn]:
    """Return the built-in models with this id, alias or title, or with this id on one route; empty if there is none."""
    route_id = f"jobs:{name.strip()}"
    for entry in search.list_entries():
        if route_id in entry.model.routes and name.strip() not in MODELS:
            return [(entry.family, entry.model, route_id)]
    return [(entry.family, entry.model, "") for entry in search.list_by_name(name)]


def find_built_in(name: str, fits: Callable[[BuiltIn], bool] | None = None) -> BuiltIn | None:
    """Find a built-in model by its id, by another name, or by the id that KIE uses for the model on one route.

    Args:
        name: The name that the caller wrote.
        fits: Tells whether a model can run the call; of several models with this name, the only one that can is meant.

    Returns:
        The model's family, the model's class and a route id; None if no built-in model has this name. The route id is
        empty, except if the name is KIE's id of the model on one route.

    Raises:
        InvalidCall: When several models have this name, and not exactly one of them can run the call.
    """
    named = list_built_in(name)
    fitting = [each for each in named if fits and fits(each)] if len(named) > 1 else named
    if named and len(fitting) != 1:
        raise InvalidCall(f"{tell_to_choose(name, [model for _, model, _ in fitting or named])}.", "Nothing was sent.")
    return next(iter(fitting), None)


async def find_named(app: "App", name: str, fits: Callable[[BuiltIn], bool] | None = None) -> BuiltIn | None:
    """Find a built-in model as `find_built_in()` does; an alias does not count if KIE has a new model with this id.

    No request is sent to KIE: its list is from the cache or from the snapshot.

    Raises:
        InvalidCall: When several models have this name, and not exactly one of them can run the call.
    """
    id_ = name.strip()
    if id_ not in list_built_in_ids() and list_built_in(name) and id_ in await (await app.discovery()).recall_models():
        return None
    return find_built_in(name, fits)


async def load_live_model(
    discovery: Discovery, name: str, *, unchecked: bool = False
) -> type[dynamic_model.DynamicModel]:
    """Make a model class, from the schema that KIE publishes, for a model that is not built in.

    Args:
        discovery: Reads KIE's list of models and their schemas.
        name: KIE's id of the model.
        unchecked: True to return a class that accepts any fields if KIE publishes no usable schema.

    Raises:
        InvalidCall: When KIE does not list the model, or publishes no usable schema and `unchecked` is false.
        ApiError: When KIE does not answer.
    """
    try:
        offered = await discovery.read_models()
    except ApiError as error:
        error.message = f"{quote_given(name)} is not built in, and KIE could not be asked for it. {error.message}"
        error.next_step = f"{_did_you_mean(name)}{error.next_step}"
        raise
    if name not in offered:
        raise _no_such_model(name, offered)
    live = offered[name]
    kind, mode, reason = live.kind, derive_mode(live), "KIE publishes no schema"
    try:
        if schema := await discovery.read_schema(name):
            return dynamic_model.model_from_schema(name, schema, kind=kind, task_type=mode, as_of=live.as_of)
    except UnusableSchema as error:
        reason = f"KIE's schema cannot be used, because {error}"
    if unchecked:
        return dynamic_model.unchecked_model(name, kind=kind, task_type=mode, reason=reason)
    raise InvalidCall(
        f"The input of {name} cannot be checked: {reason}.",
        "Set unchecked to true if you are sure of the fields: KIE ignores what it does not know and bills it all.",
    )


def _no_such_model(name: str, offered: OfferedModels) -> KieMcpError:
    hint = _did_you_mean(name, offered)
    if as_of := snapshot_date(offered):
        return ApiError(
            f"{quote_given(name)} is not built in, and KIE could not be asked for it. "
            f"It is not in KIE's list of {as_of}.",
            f"{hint}Try again later.",
            retryable=True,
        )
    return InvalidCall(f"KIE offers no model {quote_given(name)}.", f"{hint}find_models lists the models.")


def no_such_model(name: str) -> InvalidCall:
    """Return the error for a name that no built-in model has, where KIE's list cannot be asked."""
    return InvalidCall(
        f"There is no model {quote_given(name)} here.", f"{_did_you_mean(name)}find_models lists the models."
    )


def snapshot_date(offered: OfferedModels) -> str:
    """Return the date of the snapshot if the list of models is from the snapshot; empty if the list is from KIE."""
    return next((model.as_of for model in offered.values()), "")


def _did_you_mean(name: str, offered: Iterable[str] = ()) -> str:
    close = search.suggest_ids(name, offered)
    return f"Did you mean {' or '.join(close)}? " if close else ""


def derive_mode(model: OfferedModel) -> str:
    """Return a model's first task type in KIE's list, such as image-to-video; empty if the list has none."""
    return model.modes[0] if model.modes else ""


async def fetch_offered_models(app: "App") -> OfferedModels:
    """Return KIE's list of models; empty if KIE does not answer or the server's settings are wrong."""
    try:
        return await (await app.discovery()).read_models()
    except KieMcpError:
        return {}


async def add_live_price(app: "App", order: Order) -> Order:
    """Return the order; add KIE's price text if the catalogue does not know the most that this order can cost."""
    if order.call.estimate().high is not None and not order.call.added:
        return order
    offered: OfferedModels = {}
    with anyio.move_on_after(LIVE_TIMEOUT_SECONDS):
        offered = await fetch_offered_models(app)
    offered = offered or await (await app.discovery()).recall_models()
    known = [offered[id_] for id_ in (order.call.id, *listed_ids(type(order.call))) if id_ in offered]
    if not known:
        return order
    dated = (f"KIE did not answer: its price text is of {known[0].as_of}.",) if known[0].as_of else ()
    return replace(order, live_price=known[0].price, notes=(*order.notes, *dated))


@cache
def list_built_in_ids() -> frozenset[str]:
    """Return the ids of the built-in models, and the other ids that KIE's list uses for these models."""
    return frozenset(id_ for model in MODELS.values() for id_ in (model.id, *listed_ids(model)))


async def describe_model(app: "App", name: str) -> dict[str, Any]:
    """Describe the arguments, limits and price of a built-in model, or of a model in KIE's list, as a JSON object.

    Raises:
        KieMcpError: When there is no such model, or the model is not built in and KIE does not answer.
    """
    if name.strip().casefold() in (EDIT_TOOL, EDIT_MODEL):
        return search.describe_model(Timeline, EDIT_TOOL)
    offered, worth = await fetch_offered_models(app), usd_field("usd_per_credit", 1)
    if found := await find_named(app, name):
        family, model, only_route = found
        changes = await describe_changes(app, model, only_route)
        return search.describe_model(model, family.tool) | worth | read_live_status(model, offered) | changes
    if not offered:
        raise no_such_model(name)
    discovery, name = await app.discovery(), name.strip()
    model = await load_live_model(discovery, name, unchecked=True)
    return _shorten_description(
        search.describe_model(model, RUN_MODEL_TOOL)
        | worth
        | {"live_price": _price_of(offered[name]) or "not stated"}
        | {"input_schema": dynamic_model.summarize_schema(model.input_schema)}
    )


def _price_of(model: OfferedModel, most: int = LONGEST_PRICE) -> str:
    """Return KIE's price text of a model on one line; if the text is from the snapshot, add the snapshot's date."""
    price = shorten(one_line(model.price), most)
    return f"{price} (of {model.as_of})" if price and model.as_of else price


def _shorten_description(description: dict[str, Any]) -> dict[str, Any]:
    """Shorten a model's description to `MAX_DESCRIPTION_BYTES`: summarize long fields, then drop the last fields."""
    fields, about = description["input_schema"]["properties"], description["about"]
    for name in sorted(fields, key=lambda each: len(json.dumps(fields[each])), reverse=True):
        if not _is_too_long(description):
            break
        fields[name] = _summarize_field(fields[name])
    everything = len(fields)
    while fields and _is_too_long(description):
        fields.popitem()
        description["about"] = f"{about} {everything - len(fields)} more fields have no room here."
    return description


def _is_too_long(description: Mapping[str, Any]) -> bool:
    forms = json.dumps(description, ensure_ascii=False), search.format_description(description)
    return any(len(form.encode()) > MAX_DESCRIPTION_BYTES for form in forms)


def _summarize_field(field: Mapping[str, Any]) -> dict[str, Any]:
    summary = {"type": field["type"]} if "type" in field else {}
    if choices := field.get("enum"):
        return summary | {
            "description": shorten(f"one of {len(choices)}: {', '.join(map(str, choices))}", LONGEST_IN_LIST)
        }
    return summary | ({"items": {}} if "items" in field else {})


def read_live_status(model: type[KieModel], offered: OfferedModels) -> dict[str, str]:
    """Look a built-in model up in KIE's list of models.

    Returns:
        A dictionary with the key `live_price` if KIE's price differs from the built-in price, or with the key `live` if
        KIE's list no longer has the model. Otherwise, the dictionary is empty, also if KIE did not answer.
    """
    ids = listed_ids(model)
    if not offered or not ids:
        return {}
    found = next((offered[id_] for id_ in sorted(ids) if id_ in offered), None)
    if found is None:
        return {} if snapshot_date(offered) else {"live": "gone from KIE's list of today"}
    # KIE's price is left out if it equals the built-in price, because the answer contains the built-in price already.
    is_news = found.price.replace(" credits", "") not in ("", str(model.price))
    return {"live_price": _price_of(found)} if is_news else {}


def add_live_status(row: dict[str, str], status: Mapping[str, str]) -> dict[str, str]:
    """Return a row of `find_models`; if KIE's list no longer has the model, the column `about` says so."""
    return row | {"about": f"{row['about']} ({status['live']})"} if "live" in status else row


def list_live_only_models(
    offered: OfferedModels, words: str = "", kind: Kind | None = None, mode: str = ""
) -> list[dict[str, str]]:
    """Return a row for each model that matches the filters and is in KIE's list but not in the built-in catalogue."""
    wanted = words.casefold().split()
    return [
        {
            "model": shorten(id_, LONGEST_ID),
            "tool": RUN_MODEL_TOOL,
            "mode": derive_mode(model),
            "credits": _price_of(model, LONGEST_IN_LIST) or "unknown",
            "about": _introduce(model),
        }
        for id_, model in offered.items()
        if id_ not in list_built_in_ids()
        and (kind is None or model.kind == kind)
        and any(mode in each for each in model.modes or ("",))
        and all(word in f"{id_} {model.title} {model.provider} {' '.join(model.modes)}".casefold() for word in wanted)
    ]


def _introduce(model: OfferedModel) -> str:
    when = f"At KIE on {model.as_of}" if model.as_of else "New at KIE"
    return f"{when}: {shorten(f'{model.title or model.id}, {model.provider}'.strip(', '), LONGEST_IN_LIST)}."
