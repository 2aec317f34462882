"""The table of all models' prices: rates, assumed lengths, and the credits of each model's most expensive call."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import product
from types import NoneType
from typing import Any, get_args

from pydantic.fields import FieldInfo

from kie_mcp.catalog.fields import find_file_type
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.names import name_model
from kie_mcp.catalog.part import Part
from kie_mcp.catalog.price import AS_OF, Estimate, Price, Rate, add_estimates
from kie_mcp.catalog.registry import MODELS
from kie_mcp.catalog.schema import walk_annotation
from kie_mcp.catalog.sentences import LONGEST_SPEECH

QUANTITIES = ("duration", "count", "prompt", "images", "sequence", "frames", "fps", "lines")
"""Names of fields that may change the number of price units of a call, in addition to the fields in `Price.of`."""
TELLING_FIELDS = ("resolution", "quality", "speed", "tier", "type", "result")
"""Fields whose values, such as 720p, are clear alone; the table shows these values without the field's name."""
ANY_FILE = "https://files.example/a"
LONGEST_TEXT = 5000
"""Assumed maximum length of a text in a field, in characters, if KIE states no limit."""


def format_prices() -> str:
    """Return a Markdown table with a row for each model; legacy models come last.

    A row has the model's name and rates, the seconds that are assumed when a length is unknown, and the credits of the
    most expensive call.
    """
    lines = [f"The prices are those of {AS_OF}.", ""]
    lines += ["| name | model | credits | an open length counts as | dearest call |", "|---|---|---|---|--:|"]
    for model in sorted(MODELS.values(), key=lambda each: bool(each.legacy)):
        price, dearest = model.price, estimate_dearest_call(model)
        high = "?" if dearest.high is None else f"{dearest.high:,.10g}"
        if dearest.high is not None and (unpriced := list_unpriced(model)):
            high += f", {' and '.join(unpriced)}: ?"
        credits_ = " ".join(filter(None, (_format_rates(price), price.note)))
        lines.append(f"| {name_model(model)} | `{model.id}` | {credits_} | {describe_open_lengths(model)} | {high} |")
    return "\n".join(lines)


def _format_rates(price: Price) -> str:
    rates = [f"{each.credits:g}" + _format_conditions(each) for each in price.rates]
    if not rates:
        return "" if price.note else "?"
    return f"{', '.join(rates)} per {price.unit}."


def _format_conditions(rate: Rate) -> str:
    words = [
        (field if value else f"no {field}") if isinstance(value, bool) else _format_condition(field, value)
        for field, value in rate.when
    ]
    return f" ({', '.join(words)})" if words else ""


def _format_condition(field: str, value: object) -> str:
    if field == "duration":
        return f"{value} s"
    return str(value) if field in TELLING_FIELDS else f"{field} {value}"


def describe_open_lengths(model: type[KieModel]) -> str:
    """Describe how many seconds are assumed when a length is unknown; return `-` if nothing has to be assumed."""
    assumptions = (words for each in _estimates(model) for words in each.assumed.split("; "))
    return "; ".join(dict.fromkeys(filter(None, assumptions))) or "-"


def estimate_dearest_call(model: type[KieModel]) -> Estimate:
    """Estimate the cost of a model's most expensive call; the lengths of files are treated as unknown."""
    return max(_estimates(model), key=lambda each: each.high or 0)


def list_unpriced(model: type[KieModel]) -> list[str]:
    """Return the values, such as `1080p`, of the fields in the rates for which KIE publishes no figure."""
    conditions = dict.fromkeys(field for rate in model.price.rates for field, _ in rate.when)
    calls = list(_calls(model))
    unpriced = []
    for field in filter(model.model_fields.__contains__, conditions):
        estimated = zip(calls, _estimates(model), strict=True)
        priced = {getattr(call, field) for call, estimate in estimated if estimate.high is not None}
        values = dict.fromkeys(getattr(call, field) for call in calls)
        unpriced += [_format_condition(field, value) for value in values if value not in priced]
    return unpriced


@lru_cache(maxsize=1)
def _estimates(model: type[KieModel]) -> list[Estimate]:
    # The last answer is kept, because `format_prices` needs it more than once for each model.
    return [_estimate(call) for call in _calls(model)]


def _estimate(call: KieModel) -> Estimate:
    return add_estimates(part.estimate() for part in call.split())


def _calls(model: type[KieModel]) -> Iterator[KieModel]:
    """Yield a call for each combination of extreme values of the fields that may change the price.

    The extreme values of a field are its default, no value, its smallest and largest value, and each value of an
    `enum`.
    """
    conditions = {field for rate in model.price.rates for field, _ in rate.when}
    names = [name for name in model.model_fields if name in {*QUANTITIES, *model.price.of, *conditions}]
    schemas: Mapping[str, Any] = model.plain_schema()["properties"]
    choices = [tuple(_extreme_values(model, name, schemas[name])) for name in names]
    # Some of these calls are forbidden by the model. They do not change the result, because they have no rate, or the
    # same rate as an allowed call.
    for values in product(*choices):
        yield model.model_construct(**dict(zip(names, values, strict=True)))


def _extreme_values(model: type[KieModel], name: str, schema: Mapping[str, Any]) -> Iterator[Any]:
    field = model.model_fields[name]
    if not field.is_required():
        yield field.get_default(call_default_factory=True, validated_data={})
    if NoneType in get_args(field.annotation):
        yield None
    if found := find_file_type(field):
        file = found[0](ANY_FILE)
        yield (file,) * schema.get("maxItems", 1) if schema.get("type") == "array" else file
    elif "enum" in schema:
        yield from schema["enum"]
    else:
        yield from _extremes_of_type(schema, field)


def _extremes_of_type(schema: Mapping[str, Any], field: FieldInfo) -> Iterator[Any]:
    match schema.get("type"):
        case "boolean":
            yield from (False, True)
        case "integer" | "number":
            yield from (schema[limit] for limit in ("minimum", "maximum") if limit in schema)
        case "string":
            yield "x" * schema.get("maxLength", LONGEST_TEXT)
        case "array":
            # The items of the list are the lines of a dialogue. One line of maximum length is enough, because only the
            # total length of the lines is limited.
            line: dict[str, Any] = {"prompt": "x" * LONGEST_SPEECH}
            types = (each for each in walk_annotation(field.annotation) if isinstance(each, type))
            yield tuple(each.model_construct(**line) for each in types if issubclass(each, Part))
