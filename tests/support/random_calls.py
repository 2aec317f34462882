"""Random arguments of tools: the same ones in each run."""

from collections.abc import Iterator
from random import Random
from typing import Any

from kie_mcp.catalog.model import KieModel


def draw_calls(model: type[KieModel], count: int) -> Iterator[dict[str, Any]]:
    """Yield this number of arguments that the schema of a model allows, though rules between them may not."""
    random = Random(model.id)
    schema = model.plain_schema()
    for _ in range(count):
        yield draw_object(schema, random)


def draw_object(schema: dict[str, Any], random: Random) -> dict[str, Any]:
    """Return an object that a schema allows, with few, many or all of the optional fields."""
    share = random.random()
    required = schema.get("required", ())
    return {
        name: draw_value(field, random, name)
        for name, field in schema["properties"].items()
        if name in required or random.random() < share
    }


def draw_value(schema: dict[str, Any], random: Random, name: str) -> Any:
    """Return a value that a field's schema allows, and often the least or the greatest."""
    if "enum" in schema:
        return random.choice(schema["enum"])
    match schema.get("type"):
        case "integer":
            least, most = schema.get("minimum", -1), schema.get("maximum", 10**6)
            return random.choice((least, most, random.randint(least, most)))
        case "number":
            least, most = schema.get("minimum", 0), schema.get("maximum", 100)
            # Quarters are exact in binary, so the check for KIE's steps of 0.01 has no rounding error.
            return random.choice((least, most, round(random.uniform(least, most) * 4) / 4))
        case "boolean":
            return random.random() < 0.5
        case "array":
            count = random.randint(schema.get("minItems", 1), schema.get("maxItems", 3))
            return [draw_value(schema["items"], random, name) for _ in range(count)]
        case "object":
            return draw_object(schema, random)
        case _ if name in ("track", "task_id", "task"):
            return "task:t_0001#1"
        case _:
            longest = min(40, schema.get("maxLength", 40))
            return ("x" + "".join(random.choices("aé字 ", k=random.randint(3, longest))))[:longest]
