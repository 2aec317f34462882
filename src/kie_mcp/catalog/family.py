"""A family: the models behind one MCP tool, with one flat input schema for hosts and exact validation by model."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from kie_mcp.catalog.arguments import OPTIONS, coerce_arguments, explain_problem
from kie_mcp.catalog.fields import Kind, MediaRef
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import Estimate
from kie_mcp.catalog.schema import plain_schema
from kie_mcp.catalog.schema_text import describe_constraint, summarize_ids

Schema = dict[str, Any]

VERSION_PATTERN = re.compile(r"(v|niji)? ?\d", re.IGNORECASE)
"""What looks like a version rather than the name of a model: `v5`, `niji 6`, `4.5`."""

FILES_NOTE = "Files: https URL, path, data URI, or task:<id>#<n>."
"""What the description of a tool that takes files says about them."""


@dataclass(frozen=True)
class Family:
    """The models behind one MCP tool, the default first."""

    tool: str
    """Name of the tool."""
    about: str
    """What the tool is for, in one line."""
    models: tuple[type[KieModel], ...]
    """The models. Without the argument `model`, the first that takes all given arguments runs."""

    @property
    def kind(self) -> Kind:
        """The kind of result that the tool makes."""
        return self.models[0].kind

    @property
    def legacy(self) -> str:
        """What to use instead, if KIE no longer documents any of the models; else empty."""
        return self.models[0].legacy if all(model.legacy for model in self.models) else ""

    @property
    def description(self) -> str:
        """The tool's description for the agent: purpose, kinds of files it takes, cost."""
        words = [f"Legacy: {self.about} Prefer {self.legacy}." if self.legacy else self.about]
        if any(issubclass(part, MediaRef) for model in self.models for part in model.argument_types()):
            words.append(FILES_NOTE)
        if self.cost:
            words.append("Free." if self.cost == "0" else f"About {self.cost} credits.")
        return " ".join(words)

    @property
    def cost(self) -> str:
        """Range of credits for a call with default arguments, over all models; empty when unknown."""
        estimates = [model.default_estimate() for model in self.models]
        low = [each.low for each in estimates if each.low is not None]
        high = [each.high for each in estimates if each.high is not None]
        return str(Estimate(min(low), max(high))) if low and high else ""

    @cached_property
    def input_schema(self) -> Schema:
        """One flat JSON Schema that admits whatever any of the models admits; descriptions say where they differ."""
        names = dict.fromkeys(name for schema in self._schemas.values() for name in schema["properties"])
        required = [name for name in names if all(name in s.get("required", ()) for s in self._schemas.values())]
        choice: Schema = {}
        if len(self.models) > 1:
            choice["model"] = {"type": "string", "enum": [model.id for model in self.models]}
        return {
            "type": "object",
            "properties": choice | {name: self._merge_field(name) for name in names} | OPTIONS,
            "required": required,
        }

    def parse(self, arguments: Mapping[str, Any]) -> KieModel:
        """Choose the model and validate the arguments.

        Args:
            arguments: A tool call's arguments. The options that every tool takes are left out.

        Raises:
            ValueError: An argument is wrong or missing; the message says what to change.
        """
        given = {name: value for name, value in arguments.items() if value is not None and name not in OPTIONS}
        name = given.pop("model", None)
        if self._is_version(name):
            # People call a version of Suno or Midjourney a model.
            given.setdefault("version", name)
            name = None
        model = self._choose(name, given)
        try:
            return model.model_validate(coerce_arguments(given, self._schemas[model.id]))
        except ValidationError as error:
            raise ValueError(self._explain(model, error)) from None

    @cached_property
    def _schemas(self) -> dict[str, Schema]:
        return {model.id: plain_schema(model) for model in self.models}

    def _is_version(self, name: object) -> bool:
        """Tell whether `model` was given a version of a model instead of a name."""
        versioned = any("version" in schema["properties"] for schema in self._schemas.values())
        return versioned and isinstance(name, str) and bool(VERSION_PATTERN.match(name.strip()))

    def _choose(self, name: object, given: Collection[str]) -> type[KieModel]:
        """Find a model by id or alias; without a name, take the first that accepts the given arguments."""
        if name is None:
            return next((model for model in self.models if _accepts(model, given)), self.models[0])
        named = {alias.casefold(): model for model in self.models for alias in (model.id, *model.aliases)}
        if model := named.get(str(name).strip().casefold()):
            return model
        near = difflib.get_close_matches(str(name).casefold(), named, n=3)
        hint = f" Did you mean {' or '.join(dict.fromkeys(named[each].id for each in near))}?" if near else ""
        raise ValueError(f"{self.tool} has no model {name!r}.{hint} It has {', '.join(self._schemas)}.")

    def _explain(self, model: type[KieModel], error: ValidationError) -> str:
        return "; ".join(self._explain_one(model, each) for each in error.errors(include_url=False))

    def _explain_one(self, model: type[KieModel], problem: Any) -> str:
        if problem["type"] == "missing":
            return f"{explain_problem(problem)} by {model.id}"
        if problem["type"] != "extra_forbidden" or len(problem["loc"]) > 1:
            return explain_problem(problem)
        (name,) = problem["loc"]
        holders = [id_ for id_, schema in self._schemas.items() if name in schema["properties"]]
        elsewhere = f" {name} works with {summarize_ids(holders, list(self._schemas))}." if holders else ""
        return f"{model.id} does not take {name}.{elsewhere} It takes {', '.join(model.model_fields)}"

    def _merge_field(self, name: str) -> Schema:
        """Merge the models' schemas of one field: the widest limits, all enum values, and the differences in words."""
        schemas = {id_: s["properties"][name] for id_, s in self._schemas.items() if name in s["properties"]}
        first, *others = schemas.values()
        merged = {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
        merged.setdefault("type", first["type"])
        for key, widest in (("minimum", min), ("maximum", max), ("maxLength", max), ("maxItems", max)):
            if key not in merged and all(key in each for each in schemas.values()):
                merged[key] = widest(each[key] for each in schemas.values())
        common_enum = merged.get("enum")
        if all("enum" in each for each in schemas.values()):
            merged["enum"] = list(dict.fromkeys(value for each in schemas.values() for value in each["enum"]))
        numbers: list[float] = merged.pop("enum", []) if merged["type"] != "string" else []
        if numbers:
            # Gemini takes enums of strings only.
            merged |= {"minimum": min(numbers), "maximum": max(numbers)}
        choice = f"{', '.join(map(str, numbers))}." if common_enum and numbers else None
        differences = self._describe_differences(schemas, merged)
        if notes := " ".join(filter(None, (choice, first.get("description"), *differences))):
            merged["description"] = notes
        # Several hosts refuse an array without items, and items without a type.
        if merged["type"] == "array":
            merged["items"] = first["items"]
        return merged

    def _describe_differences(self, schemas: Mapping[str, Schema], merged: Schema) -> Iterable[str]:
        """Say which models take the field at all, and where their limits differ."""
        all_ids = list(self._schemas)
        if others := [id_ for id_ in all_ids if id_ not in schemas]:
            yield min(
                f"Only {summarize_ids(list(schemas), all_ids)}.", f"Not {summarize_ids(others, all_ids)}.", key=len
            )
        groups: dict[str, list[str]] = {}
        for id_, schema in schemas.items():
            groups.setdefault(describe_constraint(schema, merged.get("enum", ())), []).append(id_)
        if len(groups) > 1:
            *some, (rest, _) = sorted(groups.items(), key=lambda group: len(group[1]))
            yield (
                "; ".join([*(f"{summarize_ids(ids, all_ids)}: {text}" for text, ids in some), f"others: {rest}"]) + "."
            )


def _accepts(model: type[KieModel], given: Collection[str]) -> bool:
    """Tell whether a model has all the given arguments, and needs no others."""
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    return all(name in model.model_fields for name in given) and all(name in given for name in required)
