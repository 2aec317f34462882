"""The table of prices: each model's rates, the seconds that an unknown length counts as, and its dearest call."""

from collections.abc import Iterator, Mapping
from itertools import product
from types import NoneType, SimpleNamespace
from typing import Any, get_args

from kie_mcp.catalog.fields import find_file_type
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import AS_OF, Estimate, Price, Rate
from kie_mcp.catalog.registry import MODELS
from kie_mcp.catalog.schema import plain_schema

QUANTITIES = ("duration", "count", "prompt", "images", "sequence", "frames", "fps", "lines")
"""Fields that may decide how many price units a call pays for, in addition to those that the price names."""
TELLING_FIELDS = ("resolution", "quality", "speed", "tier", "type", "result")
"""Fields whose values are clear without the name of the field, such as 720p."""
ANY_FILE = "https://files.example/a"
LONGEST_TEXT = 5000
"""Number of characters that a text counts as if KIE states no longest length for it."""


def format_prices() -> str:
    """Format a table with a row for each model: its rates, what an open length counts as, and its dearest call."""
    lines = [f"The prices are those of {AS_OF}.", ""]
    lines += ["| model | credits | an open length counts as | dearest call |", "|---|---|---|--:|"]
    for model in MODELS.values():
        price, dearest = model.price, estimate_dearest_call(model)
        high = "?" if dearest.high is None else f"{dearest.high:,.10g}"
        credits_ = " ".join(filter(None, (_format_rates(price), price.note)))
        lines.append(f"| `{model.id}` | {credits_} | {describe_open_lengths(model)} | {high} |")
    return "\n".join(lines)


def _format_rates(price: Price) -> str:
    rates = [f"{each.credits:g}" + _format_conditions(each) for each in price.rates]
    if not rates:
        return "" if price.note else "?"
    return f"{', '.join(rates)} a {price.unit}."


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
    """Return how many seconds an open or unknown length counts as, in words; `-` if no call of the model has one."""
    assumptions = (words for each in _estimates(model) for words in each.assumed.split("; "))
    return "; ".join(dict.fromkeys(filter(None, assumptions))) or "-"


def estimate_dearest_call(model: type[KieModel]) -> Estimate:
    """Return the estimate of a model's dearest call, in which every file has an unknown length."""
    return max(_estimates(model), key=lambda each: each.high or 0)


def _estimates(model: type[KieModel]) -> list[Estimate]:
    """Estimate calls with the smallest, the largest and no value of each field that the price may depend on."""
    conditions = {field for rate in model.price.rates for field, _ in rate.when}
    names = [name for name in model.model_fields if name in {*QUANTITIES, *model.price.of, *conditions}]
    schemas: Mapping[str, Any] = plain_schema(model)["properties"]
    choices = [tuple(_extreme_values(model, name, schemas[name])) for name in names]
    # Combinations of fields that the model forbids do no harm: they have no rate, or the rate of an allowed call.
    calls = (model.model_construct(**dict(zip(names, values, strict=True))) for values in product(*choices))
    return [call.estimate() for call in calls]


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
        yield from _extremes_of_type(schema)


def _extremes_of_type(schema: Mapping[str, Any]) -> Iterator[Any]:
    match schema.get("type"):
        case "boolean":
            yield from (False, True)
        case "integer" | "number":
            yield from (schema[limit] for limit in ("minimum", "maximum") if limit in schema)
        case "string":
            yield "x" * schema.get("maxLength", LONGEST_TEXT)
        case "array":
            # The list holds the lines of a dialogue. KIE limits their total length, so one such line is enough.
            yield (SimpleNamespace(prompt="x" * LONGEST_TEXT),)
