"""Build orders of paid calls, from the arguments of a tool, or from a model id and the fields of the model's input."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from kie_mcp.catalog import dynamic_model
from kie_mcp.catalog.argument_values import parse_json
from kie_mcp.catalog.arguments import OPTIONS, Options, explain_problem, leave_out_empty, list_problems, read_arguments
from kie_mcp.catalog.family import Family, UnknownFields
from kie_mcp.catalog.fields import snake_case
from kie_mcp.catalog.names import UnknownModel, find_called
from kie_mcp.catalog.spellings import CALLBACK_NAMES
from kie_mcp.errors import InvalidCall, KieMcpError
from kie_mcp.server.app import App
from kie_mcp.server.live_fields import find_live_fields, keep_known_hidden
from kie_mcp.server.live_models import RUN_MODEL_TOOL, BuiltIn, find_named, list_built_in, load_live_model
from kie_mcp.server.picture_shape import keep_shape
from kie_mcp.tasks.order import Order
from kie_mcp.text import is_blank, quote_given

NOTHING_SENT = "Nothing was sent."
MEND_ARGUMENTS = "Mend the arguments and call again."


async def build_family_order(app: App, family: Family, arguments: Mapping[str, Any]) -> tuple[Order, Options]:
    """Build the order and the options of a call to a family's tool, from the arguments of the call.

    Args:
        app: The running server. It reads KIE's schema only if an argument is missing in the built-in models.
        family: The family of models to which the tool belongs.
        arguments: The arguments of the tool call.

    Raises:
        InvalidCall: When the arguments are wrong.
    """
    try:
        options = Options.model_validate(_find_options(arguments))
        order = await _parse(app, family, arguments)
        order = replace(order, tool=family.tool, variation=options.variation)
        return await keep_shape(app, order), options
    except UnknownModel as error:
        tools = dict.fromkeys(other.tool for other, *_ in list_built_in(error.name))
        reason = f"{quote_given(error.name)} is a model of {' and '.join(tools)}" if tools else str(error)
    except ValueError as error:
        reason = _explain(error)
    raise InvalidCall(f"{reason.rstrip('.')}.", f"{NOTHING_SENT} {MEND_ARGUMENTS}")


def explain_item(error: KieMcpError) -> str:
    """Return what is wrong with one of several calls, and what helps, such as the names that the caller may mean."""
    advice = error.next_step.removeprefix(NOTHING_SENT).lstrip()
    return f"{error} {'' if advice == MEND_ARGUMENTS else advice}".rstrip()


def _explain(error: ValueError) -> str:
    problems = list_problems(error) if isinstance(error, ValidationError) else ()
    return "; ".join(map(explain_problem, problems)) or str(error)


def _find_options(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options among the arguments of a call, by their right names: `Quote` is read as `quote`, too."""
    read = read_arguments(arguments, {"properties": OPTIONS})
    return {name: value for name, value in read.items() if name in OPTIONS}


def refuse_options(names: Collection[str], of: str, tool: str) -> None:
    """Raise `InvalidCall` if there are options in the input of a model or tool (`of`), where they would do nothing.

    Args:
        names: The names of the options that were found in the input.
        of: The id of the model, or the name of the tool, whose input it is.
        tool: The name of the called tool, beside whose `input` the options belong.
    """
    if names:
        raise InvalidCall(
            f"{' and '.join(names)}: not a field of {of}'s input, but an argument of {tool} itself.",
            f"Nothing was sent. Put it beside input: {{model, input, {', '.join(names)}}}.",
        )


async def _parse(
    app: App, family: Family, arguments: Mapping[str, Any], route: str = "", *, pasted: bool = False
) -> Order:
    """Build the order for a built-in model; arguments that are not built in are allowed if KIE's schema has them.

    Args:
        app: The running server.
        family: The model's family.
        arguments: The arguments, with this server's field names; fields that are not built in have KIE's names.
        route: Id of the only route to try; empty for any route.
        pasted: True if a user or agent may have copied the arguments from a request to KIE. Then a field with the
            value `false` is sent to KIE, too.

    Raises:
        ValueError: When an argument is wrong; the message says what to change.
    """
    try:
        call = family.parse(arguments, pasted=pasted)
        return Order(RUN_MODEL_TOOL, call, route, notes=tuple(call.warnings()))
    except UnknownFields as error:
        live = await find_live_fields(app, error.model, error.names, route)
        given = family.rename(arguments)
        if not live or not given.keys() >= {*error.names}:
            raise
        added = {name: given.pop(name) for name in error.names}
        call = family.parse({**given, "model": error.model.id}, pasted=pasted)
        if live.route not in call.route_ids():
            raise
        note = f"{', '.join(added)}: newer than this server; checked against KIE's schema."
        notes = (note, *call.warnings())
        return Order(RUN_MODEL_TOOL, dynamic_model.add_live_fields(call, live.schema, added), live.route, notes=notes)


async def build_model_order(
    app: App,
    name: str,
    fields: Mapping[str, Any],
    *,
    unchecked: bool = False,
    tool: str = RUN_MODEL_TOOL,
    takes_variation: bool = False,
) -> Order:
    """Build the order for any model that KIE offers, whether it is built into the catalogue or not.

    Args:
        app: The running server, whose list of models is read.
        name: Any id or alias of the model.
        fields: The model's input, with KIE's field names or with this server's field names.
        unchecked: True to accept any input if KIE publishes no usable schema of the model.
        tool: The name of the called tool; options among the fields are refused as arguments of this tool.
        takes_variation: Whether the option `variation` may be among the fields of a built-in model.

    Raises:
        InvalidCall: When there is no such model, or the fields are wrong.
        ApiError: When the model is not built in, and KIE does not answer.
    """
    fields = _unpack_body(name, fields)
    if found := await find_named(app, name, lambda each: _fits(each, fields)):
        family, model, route_id = found
        options = _find_options(fields)
        refuse_options([name for name in options if not takes_variation or name != "variation"], model.id, tool)
        given = leave_out_empty(fields)
        hidden = model.hidden_fields()
        extra = {key: value for key, value in given.items() if key in hidden}
        shown = {key: value for key, value in given.items() if key not in extra}
        try:
            if extra:
                extra = dynamic_model.check_fields(extra, {key: hidden[key] for key in extra})
                extra = await keep_known_hidden(app, model, extra, route_id)
            # A name that means only this model may also mean its other modes, as it does in the family's own tool.
            is_alias = not route_id and find_called(name, family.models) == [model]
            given = {**model.received(shown), "model": name if is_alias else model.id}
            order = await _parse(app, family, given, route_id, pasted=True)
            order = replace(order, extra=extra, variation=Options.model_validate(options).variation)
        except ValueError as error:
            raise _wrong_input(model.id, error) from None
        return await keep_shape(app, order)
    model = await load_live_model(await app.discovery(), name.strip(), unchecked=unchecked)
    own = {field.alias or name: field for name, field in model.model_fields.items()}
    refuse_options([name for name in fields if name in OPTIONS and name not in own], model.id, tool)
    required = [name for name, field in own.items() if field.is_required()]
    texts = {name: fields[name] for name in required if isinstance(fields.get(name), str)}
    if blank := [name for name, text in texts.items() if text and is_blank(text)]:
        raise _wrong_input(model.id, ValueError(f"{' and '.join(blank)}: nothing but blanks"))
    try:
        return Order(RUN_MODEL_TOOL, dynamic_model.parse_call(model, fields))
    except ValueError as error:
        raise _wrong_input(model.id, error) from None


def _unpack_body(name: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the model's input if a caller gave KIE's whole request body (`model`, `input`, `callBackUrl`) instead.

    Args:
        name: Any id or alias of the model.
        fields: What the caller gave as the model's input.
    """
    inner = fields.get("input")
    inner = parse_json(inner) if isinstance(inner, str) else inner
    others = {each for each in fields if each != "input" and snake_case(each) not in CALLBACK_NAMES}
    named = str(fields.get("model", name)).strip()
    meant = list_built_in(named)
    is_same = named.casefold() == name.strip().casefold() or bool(meant and meant == list_built_in(name))
    return inner if isinstance(inner, Mapping) and others <= {"model"} and is_same else fields


def _fits(found: BuiltIn, fields: Mapping[str, Any]) -> bool:
    """Tell whether a model can run with what a caller gave as its input."""
    family, model, _ = found
    hidden = model.hidden_fields()
    shown = {key: value for key, value in leave_out_empty(fields).items() if key not in hidden}
    try:
        family.parse({**model.received(shown), "model": model.id}, pasted=True)
    except ValueError:
        return False
    return True


def _wrong_input(name: str, error: ValueError) -> InvalidCall:
    return InvalidCall(f"{_explain(error)}.", f"Nothing was sent. describe_model tells what {name} takes.")
