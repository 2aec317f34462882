"""Several models behind one tool: a flat schema for the host, exact validation for the caller."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from kie_mcp.catalog.arguments import OPTIONS, coerce_arguments, explain_problem, leave_out_empty, tidy
from kie_mcp.catalog.fields import Kind, MediaRef
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import Estimate
from kie_mcp.catalog.schema import plain_schema
from kie_mcp.catalog.schema_text import describe_constraint, summarize_ids

Schema = dict[str, Any]


VERSION = re.compile(r"(v|niji)? ?\d", re.IGNORECASE)

FILES = "Files: https URL, path, data URI, or task:<id>#<n>."


@dataclass(frozen=True)
class Family:
    """The models behind one MCP tool, the default first."""

    tool: str
    about: str
    models: tuple[type[KieModel], ...]

    @property
    def kind(self) -> Kind:
        """What the tool makes."""
        return self.models[0].kind

    @property
    def legacy(self) -> str:
        """What to use instead, when KIE documents none of the models any more."""
        return self.models[0].legacy if all(model.legacy for model in self.models) else ""

    @property
    def description(self) -> str:
        """What the agent reads before it chooses."""
        words = [f"Legacy: {self.about} Prefer {self.legacy}." if self.legacy else self.about]
        if any(issubclass(part, MediaRef) for model in self.models for part in model.made_of()):
            words.append(FILES)
        if self.cost:
            words.append("Free." if self.cost == "0" else f"About {self.cost} credits.")
        return " ".join(words)

    @property
    def cost(self) -> str:
        """Credits for a call with default arguments, from the cheapest model to the dearest; empty when unknown."""
        estimates = [model.usual_estimate() for model in self.models]
        low = [each.low for each in estimates if each.low is not None]
        high = [each.high for each in estimates if each.high is not None]
        return str(Estimate(min(low), max(high))) if low and high else ""

    @cached_property
    def input_schema(self) -> Schema:
        """One flat object: it admits all that any variant admits, and says in words where they differ."""
        names = dict.fromkeys(name for schema in self._schemas.values() for name in schema["properties"])
        required = [name for name in names if all(name in s.get("required", ()) for s in self._schemas.values())]
        choice: Schema = {}
        if len(self.models) > 1:
            choice["model"] = {"type": "string", "enum": [model.id for model in self.models]}
        return {
            "type": "object",
            "properties": choice | {name: self._joint(name) for name in names} | OPTIONS,
            "required": required,
        }

    def parse(self, arguments: Mapping[str, Any]) -> KieModel:
        """The call that the arguments describe.

        Raises:
            ValueError: With a message that tells the caller what to change.
        """
        given = {name: value for name, value in tidy(arguments).items() if name not in OPTIONS}
        name = given.pop("model", None)
        if self._is_version(name):
            # People call a version of Suno or Midjourney a model.
            given.setdefault("version", name)
            name = None
        model = self._choose(name, given)
        schema = self._schemas[model.id]
        needed = schema.get("required", ())
        given |= {field: value for field, value in leave_out_empty(arguments, needed).items() if field in needed}
        try:
            return model.model_validate(leave_out_empty(coerce_arguments(given, schema), needed))
        except ValidationError as error:
            raise ValueError(self._explain(model, error)) from None

    @cached_property
    def _schemas(self) -> dict[str, Schema]:
        return {model.id: plain_schema(model) for model in self.models}

    def _is_version(self, name: object) -> bool:
        versioned = any("version" in schema["properties"] for schema in self._schemas.values())
        return versioned and isinstance(name, str) and bool(VERSION.match(name.strip()))

    def _choose(self, name: object, given: Collection[str]) -> type[KieModel]:
        if name is None:
            return next((model for model in self.models if _takes(model, given)), self.models[0])
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

    def _joint(self, name: str) -> Schema:
        given = {id_: s["properties"][name] for id_, s in self._schemas.items() if name in s["properties"]}
        first, *others = given.values()
        joint = {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
        joint.setdefault("type", first["type"])
        for key, widest in (("minimum", min), ("maximum", max), ("maxLength", max), ("maxItems", max)):
            if key not in joint and all(key in each for each in given.values()):
                joint[key] = widest(each[key] for each in given.values())
        alike = joint.get("enum")
        if all("enum" in each for each in given.values()):
            joint["enum"] = list(dict.fromkeys(value for each in given.values() for value in each["enum"]))
        numbers: list[float] = joint.pop("enum", []) if joint["type"] != "string" else []
        if numbers:
            # Gemini takes enums of strings only.
            joint |= {"minimum": min(numbers), "maximum": max(numbers)}
        choice = f"{', '.join(map(str, numbers))}." if alike and numbers else None
        if notes := " ".join(filter(None, (choice, first.get("description"), *self._differences(given, joint)))):
            joint["description"] = notes
        # An array without items, or an item without a type, is refused by several hosts.
        if joint["type"] == "array":
            joint["items"] = first["items"]
        return joint

    def _differences(self, given: Mapping[str, Schema], joint: Schema) -> Iterable[str]:
        everyone = list(self._schemas)
        if others := [id_ for id_ in everyone if id_ not in given]:
            yield min(
                f"Only {summarize_ids(list(given), everyone)}.", f"Not {summarize_ids(others, everyone)}.", key=len
            )
        groups: dict[str, list[str]] = {}
        for id_, schema in given.items():
            groups.setdefault(describe_constraint(schema, joint.get("enum", ())), []).append(id_)
        if len(groups) > 1:
            *some, (rest, _) = sorted(groups.items(), key=lambda group: len(group[1]))
            yield (
                "; ".join([*(f"{summarize_ids(ids, everyone)}: {text}" for text, ids in some), f"others: {rest}"]) + "."
            )


def _takes(model: type[KieModel], given: Collection[str]) -> bool:
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    return all(name in model.model_fields for name in given) and all(name in given for name in required)
