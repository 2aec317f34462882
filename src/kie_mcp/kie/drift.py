"""How the built-in classes differ from what KIE publishes today."""

from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.registry import MODELS
from kie_mcp.catalog.wire_schema import wire_schema
from kie_mcp.errors import ApiError
from kie_mcp.kie.discovery import Discovery
from kie_mcp.kie.routes import listed, spelled

Schema = Mapping[str, Any]

LIMITS = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")


@dataclass(frozen=True, slots=True)
class Compared:
    """What has become of one model."""

    id: str
    """What KIE's list calls it."""
    changes: tuple[str, ...] = ()


BUILT_IN = {id_: (model, way) for model in reversed(MODELS.values()) for id_, way in listed(model).items()}
"""The class of each id that KIE's list may have; the first where several share one."""


async def drift(live: Discovery, only: Collection[str] = ()) -> AsyncIterator[Compared]:
    """Compare one model after the other, which takes a second each: the new ones, the gone ones, then the others.

    Args:
        live: What KIE publishes.
        only: KIE's ids of the models to compare; all when left out.

    Raises:
        ApiError: When KIE cannot be asked which models there are.
    """
    offered = await live.models()
    wanted = only or dict.fromkeys([*offered, *BUILT_IN])
    for id_ in wanted:
        if id_ not in BUILT_IN:
            yield Compared(id_, ("new at KIE" if id_ in offered else "neither at KIE nor built in",))
        elif id_ not in offered and not BUILT_IN[id_][0].legacy:
            yield Compared(id_, ("gone from KIE's list",))
    for id_ in wanted:
        if id_ in BUILT_IN and id_ in offered:
            yield Compared(id_, await _changes(live, id_))


async def _changes(live: Discovery, id_: str) -> tuple[str, ...]:
    try:
        theirs = await live.schema(id_)
    except ApiError as error:
        return (f"its schema cannot be read ({error})",)
    return tuple(differences(*BUILT_IN[id_], theirs)) if theirs else ()


def differences(model: type[KieModel], way: str, theirs: Schema) -> Iterator[str]:
    """What KIE's schema of the input says otherwise than the class."""
    ours = {spelled(name, way): field for name, field in wire_schema(model)["properties"].items()}
    required = theirs["required"]
    for name, field in theirs["properties"].items():
        if name in ours:
            yield from (f"{name} {change}" for change in _field_changes(ours[name], field))
        elif not field.get("deprecated") and name not in model.unshown() and not _reads(model, name, field):
            yield f"{name} is new{' and required' if name in required else ''}"
            continue
        if name in required and _leaves_out(model, way, name, theirs):
            yield f"{name} is required"
    for name in sorted(ours.keys() - theirs["properties"].keys()):
        yield f"{name} is gone"


def _reads(model: type[KieModel], name: str, field: Schema) -> bool:
    """Whether the class takes a field under this name, though it has none that is called so."""
    return set(model.received({name: _example(field)})) <= model.model_fields.keys()


def _leaves_out(model: type[KieModel], way: str, name: str, theirs: Schema) -> bool:
    """Whether the class takes, without this field, a call that has all others that KIE requires."""
    others = [each for each in theirs["required"] if each != name]
    given = {each: _example(theirs["properties"].get(each, {})) for each in others}
    try:
        sent = model.model_validate(model.received(given)).sent(str)
    except ValueError:
        return False
    return name not in {spelled(each, way) for each in sent}


def _example(field: Schema) -> Any:
    if choices := field.get("enum"):
        return choices[0]
    match field.get("type"):
        case "array":
            return [_example(field.get("items") or {})] * max(field.get("minItems", 1), 1)
        case "object":
            return {name: _example(each) for name, each in (field.get("properties") or {}).items()}
        case "boolean":
            return True
        case "integer" | "number":
            return field.get("minimum", 1)
        case _:
            return "x" * max(field.get("minLength", 1), 1)


def _field_changes(ours: Schema, theirs: Schema) -> Iterator[str]:
    admitted, offered = set(map(str, ours.get("enum", ()))), set(map(str, theirs.get("enum") or ()))
    if offered and admitted and offered != admitted:
        more, less = ", ".join(sorted(offered - admitted)), ", ".join(sorted(admitted - offered))
        yield "; ".join(filter(None, (more and f"also takes {more}", less and f"no longer takes {less}")))
    for limit in LIMITS:
        if isinstance(theirs.get(limit), int | float) and limit in ours and ours[limit] != theirs[limit]:
            yield f"has {limit} {theirs[limit]:g}, not {ours[limit]:g}"
