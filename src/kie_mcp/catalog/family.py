"""A family: the models that one MCP tool runs.

MCP clients see one flat input schema for all models of the family. For each call, the family chooses one of its models,
and this model validates the arguments.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

from pydantic import ValidationError

from kie_mcp.catalog.argument_names import find_meant, names_at_kie, rename_arguments
from kie_mcp.catalog.argument_values import leaves_shape_open, read_value
from kie_mcp.catalog.arguments import (
    OPTIONS,
    coerce_arguments,
    explain_problem,
    keep_given,
    keep_required,
    leave_out_empty,
    list_arguments,
    list_problems,
    tidy,
)
from kie_mcp.catalog.fields import Audio, Kind, MediaRef, TaskRef, Video
from kie_mcp.catalog.joined_arguments import use_images
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.names import UnknownModel, find_called, says_mode, strip_mode, tell_similar, tell_to_choose
from kie_mcp.catalog.price import Estimate
from kie_mcp.catalog.schema_text import describe_constraint, name_models, widen
from kie_mcp.text import LONGEST_GIVEN, quote_given, shorten

Schema = dict[str, Any]

VERSION_PATTERN = re.compile(r"(suno[ _-]?)?(v|niji)? ?\d", re.IGNORECASE)
"""Matches the beginning of a version (`v5`, `niji 6`, `suno-v5`, `4.5`), but not the beginning of a model's id."""

ANY_SEEDS = (0, -1)
"""Seeds that do not influence the choice of a model: many clients send 0 by default, and -1 means a random seed."""

LONGEST_TEXT = 9_999
"""A larger `maxLength` is left out of the tool's schema, because agents hardly ever write texts of this length."""

FILES_NOTE = "Files: URL, path or task:id#n."
"""A sentence for the description of each tool that takes files; it tells the agent how to name a file."""

LONGEST_NOTE = 32
"""Maximum number of characters of a note that says which texts, or how many items of a list, each model allows.

A longer note is replaced by `FEWER_NOTE`; the error message for a wrong value has the details.
"""
FEWER_NOTE = "Some take fewer."
"""The sentence that replaces a note of more than LONGEST_NOTE characters."""


class UnknownFields(ValueError):
    """The chosen model does not have some of the call's arguments; the message lists the model's arguments."""

    def __init__(self, model: type[KieModel], names: Collection[str], message: str) -> None:
        super().__init__(message)
        self.model = model
        self.names = names


@dataclass(frozen=True)
class Family:
    """The models that one MCP tool runs; the default model comes first."""

    tool: str
    """Name of the tool."""
    about: str
    """One line that says what the tool makes."""
    models: tuple[type[KieModel], ...]
    """The models, best first; if a call names no model, the first one that has all of the call's arguments runs."""
    rare: tuple[str, ...] = ()
    """Arguments that tools/list leaves out to save tokens; calls may have them, and describe_model lists them."""

    @property
    def kind(self) -> Kind:
        """The kind of result that the tool makes."""
        return self.models[0].kind

    @property
    def legacy(self) -> str:
        """If KIE no longer documents any model of the family, the name of the tool to use instead; otherwise empty."""
        return self.models[0].legacy if all(model.legacy for model in self.models) else ""

    @property
    def description(self) -> str:
        """The tool's description for the agent: its purpose, how to name files (if it takes files) and its cost."""
        words = [f"Legacy: {self.about} Prefer {self.legacy}." if self.legacy else self.about]
        if any(issubclass(part, MediaRef) for model in self.models for part in model.argument_types()):
            words.append(FILES_NOTE)
        if self.cost:
            words.append("Free." if self.cost == "0" else f"About {self.cost} credits.")
        return " ".join(words)

    @property
    def cost(self) -> str:
        """Number of credits that a call with default arguments costs, such as "4" or "4 to 30"; empty if unknown.

        The first number is the cost with the cheapest model, and the second with the most expensive model.
        """
        # Estimates that assume the length of a file or result are left out, because the real cost may be very
        # different.
        estimates = [each for model in self.models if not (each := model.default_estimate()).assumed]
        low = [each.low for each in estimates if each.low is not None]
        high = [each.high for each in estimates if each.high is not None]
        return str(Estimate(min(low), max(high))) if low and high else ""

    @cached_property
    def input_schema(self) -> Schema:
        """One flat JSON Schema of the tool's arguments; it allows every call that at least one of the models allows.

        The description of `model` says which arguments only some models have. If the models' limits for an argument
        differ, the description of this argument says so.
        """
        names = dict.fromkeys(name for schema in self._schemas.values() for name in schema["properties"])
        required = [name for name in names if all(name in s.get("required", ()) for s in self._schemas.values())]
        choice: Schema = {}
        if len(self.models) > 1:
            choice["model"] = {"type": "string", "enum": list(self.names)}
            if words := "; ".join(self._describe_holders(name for name in names if name not in self.rare)):
                choice["model"]["description"] = f"{words}."
        return {
            "type": "object",
            "properties": choice | {name: self._merge_field(name) for name in names} | OPTIONS,
            "required": required,
        }

    def parse(self, arguments: Mapping[str, Any], *, pasted: bool = False) -> KieModel:
        """Choose the model for a tool call, validate the arguments, and return an instance of the model.

        An argument whose value has no effect, such as the default, does not influence which model is chosen. If the
        chosen model does not have this argument, the argument is ignored; a `duration` is refused if the result gets
        its length from a clip, a sound or an earlier task.

        Args:
            arguments: The arguments of the tool call. Options (`OPTIONS`), such as `quote`, are ignored.
            pasted: Whether the arguments were copied from a request to KIE. If True, all arguments that the model has
                are sent to KIE, also those without effect.

        Raises:
            UnknownFields: The model does not have some of the arguments.
            ValueError: An argument is wrong or missing; the message says what to change.
        """
        renamed = self.rename(arguments)
        kept = keep_given(tidy(renamed), self.input_schema)
        given = {name: value for name, value in kept.items() if name not in OPTIONS}
        name = given.pop("model", None)
        if self._is_version(name):
            # Callers often write a version of Suno or Midjourney, such as `v5`, into the argument `model`.
            given.setdefault("version", name)
            name = None
        named = find_called(str(name), self.models) if name is not None else []
        if self.kind == "image":
            idle = {each for each, value in given.items() if self._has_no_effect(each, value, given, named)}
            given = use_images(given, self.input_schema["properties"].keys() - idle, self.models, named)
        idle = {each for each, value in given.items() if self._has_no_effect(each, value, given, named)}
        model = self._choose(name, given, idle | (given.keys() - self.input_schema["properties"].keys()))
        schema = self._schemas[model.id]
        needed = schema.get("required", ())
        left_out = idle - model.model_fields.keys()
        has_length = any(issubclass(each, (Video, Audio, TaskRef)) for each in model.argument_types())
        if has_length and read_value(given.get("duration"), {"type": "number"}):
            # The result is as long as the given file or task, so another length would be made and paid.
            left_out -= {"duration"}
        left_out |= {each for each in given if leaves_shape_open(each, given[each], schema)} - {*needed}
        if not pasted:
            left_out |= {each for each in given.keys() & model.model_fields if model.is_unsent(each, given[each])}
        given = {each: value for each, value in given.items() if each not in left_out}
        given = coerce_arguments(keep_required(given, renamed, needed), schema)
        try:
            return model.model_validate(leave_out_empty(given, needed))
        except ValidationError as error:
            unknown = [str(each["loc"][0]) for each in error.errors() if _is_unknown_field(each)]
            reason = "; ".join(self._explain(model, each, pasted=pasted) for each in list_problems(error))
            raise (UnknownFields(model, unknown, reason) if unknown else ValueError(reason)) from None

    def rename(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a tool call under the tool's names; arguments with unknown names are unchanged.

        If arguments contradict each other, the function raises `ValueError`.
        """
        further = {name for model in self.models for name in model.further_names}
        given = rename_arguments(arguments, {"model", *self.input_schema["properties"], *further}, self._kie_names)
        return reduce(lambda joined, model: model.join(joined), self.models, given)

    @cached_property
    def _schemas(self) -> dict[str, Schema]:
        return {model.id: model.plain_schema() for model in self.models}

    def _is_version(self, name: object) -> bool:
        """Return True if `name` is a version, such as `v5`, and some model of this family has an argument `version`."""
        versioned = any("version" in schema["properties"] for schema in self._schemas.values())
        return versioned and bool(VERSION_PATTERN.match(str(name).strip()))

    @cached_property
    def _kie_names(self) -> dict[str, str]:
        return names_at_kie(self.models)

    def _has_no_effect(
        self, name: str, value: object, given: Collection[str], named: Collection[type[KieModel]]
    ) -> bool:
        """Tell whether an argument has no effect: its value is 0, False, the model's default, or one of `ANY_SEEDS`.

        If models have different defaults for an argument, the first model that can run with the given arguments
        decides. If no model can, the model with the fewest missing required arguments decides.

        If the call names a model (`named`: the models with its name), the value has to be the default of all models
        that differ from this model only in their mode; if these do not have the argument, the default of all models.
        Any other value is a wish.
        """
        holders = [
            each for each in self.models if name in each.model_fields and not each.model_fields[name].is_required()
        ]
        if not holders:
            return False
        holder = min(holders, key=lambda each: (not _accepts(each, given, given), _count_missing(each, given)))
        read = holder.read(name, value)
        is_any_seed = name == "seed" and read in ANY_SEEDS
        if read is False or is_any_seed or leaves_shape_open(name, value, holder.plain_schema()):
            return True
        if not named:
            # Some clients fill numbers with 0. A model that has the argument gets the 0, but no model is chosen for it.
            return holder.is_default(name, read) or (type(read) in (int, float) and read == 0)
        ids = {strip_mode(each) for each in named}
        sisters = [each for each in holders if strip_mode(each) in ids]
        return all(each.is_default(name, each.read(name, value)) for each in sisters or holders)

    def _choose(self, name: object, given: Collection[str], idle: Collection[str] = frozenset()) -> type[KieModel]:
        """Choose the model that runs for a tool call.

        Args:
            name: Any name of the model (`find_called()`); None if the call names no model.
            given: The names of all arguments of the call.
            idle: The names of the arguments that must not influence the choice.

        Returns:
            If `name` is given, the model with this name; if several models share it, the only one of them that has all
            of the arguments. If `name` is no id and says no mode, and its model does not have all of the arguments, a
            model that has them and differs only in its mode is preferred. If `name` is None, the first model that has
            all of the arguments, or else the first model of the family.

        Raises:
            UnknownModel: No model has this name.
            ValueError: Several models have this name, and not exactly one of them has all of the arguments.
        """
        wishes = {each for each in given if each not in idle}
        if name is None:
            return next((model for model in self.models if _accepts(model, wishes, given)), self.models[0])
        called = find_called(str(name), self.models)
        fitting = [model for model in called if _accepts(model, wishes, given)]
        if len(called) > 1:
            if len(fitting) == 1:
                return fitting[0]
            raise ValueError(tell_to_choose(str(name), fitting or called))
        if called:
            (model,) = called
            if says_mode(str(name), model) or wishes <= model.model_fields.keys():
                return model
            sisters = (each for each in self.models if strip_mode(each) == strip_mode(model))
            return next((each for each in sisters if _accepts(each, wishes, given)), model)
        fits = {model.id for model in self.models if _accepts(model, wishes, given)}
        hint = tell_similar(str(name), [model for model in self.models if not model.unlisted], fits)
        listed = ", ".join(id_ for ids in self.names.values() for id_ in ids)
        raise UnknownModel(str(name), f"{self.tool} has no model {quote_given(name)}.{hint} It has {listed}.")

    def _explain(self, model: type[KieModel], problem: Any, *, pasted: bool) -> str:
        if problem["type"] == "missing":
            return f"{explain_problem(problem)} by {model.id}"
        if not _is_unknown_field(problem):
            is_pair = problem["loc"] == ("image",) and isinstance(problem["input"], list)
            is_pair = is_pair and "last_image" in model.model_fields
            return explain_problem(problem) + ("; last_image takes the last frame" if is_pair else "")
        (given,) = problem["loc"]
        name = shorten(given, LONGEST_GIVEN)
        holders = [each for each in self.models if given in each.model_fields]
        meant = find_meant(given, self.input_schema["properties"], self._kie_names, problem["input"])
        if not holders and meant != given:
            return f"{name} means {meant}, which is given as well: give one of them"
        if not holders and not pasted and len(self.models) > 1:
            return f"{self.tool} does not take {name}. {list_arguments(self.input_schema['properties'], name)}"
        words = f"{model.id} does not take {name}."
        if holders:
            those = name_models([each.id for each in holders], list(self._schemas), whole=True)
            words += f" {name} works with {those}."
        if sister := next((each.id for each in holders if strip_mode(each) == strip_mode(model)), ""):
            words += f" The same with {name} is {sister}."
        return f"{words} {list_arguments(model.model_fields, name)}"

    def _merge_field(self, name: str) -> Schema:
        """Merge the models' schemas for one argument: use the widest limits, and the enum values of all models.

        The description in the merged schema says how the models differ.
        """
        schemas = {id_: s["properties"][name] for id_, s in self._schemas.items() if name in s["properties"]}
        first, *_ = schemas.values()
        same_choice = all(each.get("enum") == first.get("enum") for each in schemas.values())
        merged = widen(list(schemas.values()))
        if len(schemas) < len(self.models):
            # The default is left out if some models lack this argument, because several MCP hosts send each default in
            # the schema with every call.
            merged.pop("default", None)
        if merged.get("maxLength", 0) > LONGEST_TEXT:
            del merged["maxLength"]
        numbers: list[float] = merged.pop("enum", []) if merged["type"] != "string" else []
        if numbers:
            # Gemini accepts only strings in an `enum`. So an `enum` of numbers becomes a range, and the description
            # lists the numbers.
            merged |= {"minimum": min(numbers), "maximum": max(numbers)}
        choice = f"{', '.join(map(str, numbers))}." if numbers and same_choice else None
        notes = [choice, first.get("description"), *self._describe_differences(schemas, merged)]
        limit = describe_constraint({key: value for key, value in merged.items() if key != "enum"})
        # The description repeats the limits of the merged schema, because some MCP hosts remove limits from a schema.
        if not numbers and limit != "any" and not any(limit.split()[-1] in note for note in notes if note):
            notes.append(f"{limit[0].upper()}{limit[1:]}.")
        if description := " ".join(filter(None, notes)):
            merged["description"] = description
        # An array always gets `items`, because several MCP hosts refuse an array whose schema has no `items`, or whose
        # `items` have no type.
        if merged["type"] == "array":
            merged["items"] = first["items"]
        return merged

    @cached_property
    def names(self) -> dict[str, list[str]]:
        """The names under which clients see the models; for each name, the list of the ids of its models.

        Models that differ only in their mode share a name, because the arguments of a call decide which mode runs. If
        all models of the family would share one name, the name of each model is its id instead.
        """
        modes: dict[str, list[type[KieModel]]] = {}
        for model in self.models:
            if not model.unlisted:
                modes.setdefault(strip_mode(model), []).append(model)
        if len(modes) == 1:
            return {model.id: [model.id] for models in modes.values() for model in models}
        return {_name_together(models): [model.id for model in models] for models in modes.values()}

    def _describe_holders(self, names: Iterable[str]) -> Iterator[str]:
        """Yield phrases that say which models have which arguments, such as `seed, format: only 2.5`.

        Arguments that all models have are left out.
        """
        everyone = list(self.names)
        groups: dict[str, list[str]] = {}
        for name in names:
            holders = [
                each for each, ids in self.names.items() if any(name in self._schemas[id_]["properties"] for id_ in ids)
            ]
            if others := [each for each in everyone if each not in holders]:
                note = min(f"only {name_models(holders, everyone)}", f"not {name_models(others, everyone)}", key=len)
                groups.setdefault(note, []).append(name)
        for note, fields in groups.items():
            yield f"{', '.join(fields)}: {note}"

    def _describe_differences(self, schemas: Mapping[str, Schema], merged: Schema) -> Iterator[str]:
        """Yield a sentence that says which values each model allows; yield nothing if all allow the same values."""
        groups: dict[str, list[str]] = {}
        for name, ids in self.names.items():
            if holders := [schemas[id_] for id_ in ids if id_ in schemas]:
                groups.setdefault(describe_constraint(widen(holders), merged.get("enum", ())), []).append(name)
        if len(groups) > 1:
            everyone = list(self.names)
            *some, (rest, _) = sorted(groups.items(), key=lambda group: len(group[1]))
            notes = [f"{name_models(names, everyone)}: {text}" for text, names in some]
            note = "; ".join([*notes, f"others: {rest}"]) + "."
            fewer = merged["type"] in ("string", "array") and len(note) > LONGEST_NOTE
            yield FEWER_NOTE if fewer else note


def _name_together(models: Sequence[type[KieModel]]) -> str:
    """Return one name for models that differ only in their mode: the first alias that any of these models has.

    If no model has an alias, or if there is only one model and its id has no `/`, the name is the first model's id.
    """
    if len(models) == 1 and "/" not in models[0].id:
        return models[0].id
    return next((alias for model in models for alias in model.aliases), models[0].id)


def _is_unknown_field(problem: Any) -> bool:
    """Tell whether an error from pydantic is about an argument that the model does not have."""
    return problem["type"] == "extra_forbidden" and len(problem["loc"]) == 1


def _accepts(model: type[KieModel], wishes: Collection[str], given: Collection[str]) -> bool:
    """Tell whether a model has all arguments in `wishes`, and `given` has all arguments that the model requires."""
    return model.model_fields.keys() >= {*wishes} and not _count_missing(model, given)


def _count_missing(model: type[KieModel], given: Collection[str]) -> int:
    """Count the arguments that a model requires but that are missing in `given`."""
    return sum(field.is_required() and name not in given for name, field in model.model_fields.items())
