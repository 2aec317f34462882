"""Hypothesis strategies for arguments of tools."""

from typing import Any

from hypothesis import strategies as st


def values(schema: dict[str, Any], name: str = "") -> st.SearchStrategy[Any]:
    """Return a strategy for values that a field's schema allows."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "integer":
            return st.integers(schema.get("minimum", -1), schema.get("maximum", 10**6))
        case "number":
            # Quarters are exact in binary, so the check for KIE's steps of 0.01 has no rounding error.
            return st.floats(schema.get("minimum", 0), schema.get("maximum", 100)).map(lambda x: round(x * 4) / 4)
        case "boolean":
            return st.booleans()
        case "array":
            item = values(schema["items"], name)
            return st.lists(item, min_size=schema.get("minItems", 1), max_size=schema.get("maxItems", 3))
        case "object":
            return arguments(schema)
        case _ if name in ("track", "task_id", "task"):
            return st.just("task:t_0001#1")
        case _:
            return st.text("aé字 ", min_size=3, max_size=min(40, schema.get("maxLength", 40))).map(
                lambda t: f"x{t}"[:40]
            )


def arguments(schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for objects that a schema allows; optional fields may be left out."""
    each = {name: values(field, name) for name, field in schema["properties"].items()}
    required = {name: each[name] for name in schema.get("required", ())}
    return st.fixed_dictionaries(required, optional={name: s for name, s in each.items() if name not in required})
