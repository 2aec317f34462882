"""Objects in arguments, such as the lines of a dialogue, and arguments made of the fields of a request to KIE."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from kie_mcp.catalog.argument_names import names_at_kie, rename_arguments
from kie_mcp.catalog.arguments import list_arguments
from kie_mcp.catalog.fields import InList, snake_case
from kie_mcp.catalog.schema import walk_annotation
from kie_mcp.text import LONGEST_GIVEN, shorten


class Part(BaseModel):
    """An object with fields: the value of an argument, or one item of a list argument, such as a line of a dialogue."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _rename(cls, given: Any) -> Any:
        """Give fields the names in this class, if the caller used other names for them, such as KIE's names.

        Raises:
            PydanticCustomError: The value is no object, or has an unknown field; the message lists the known ones.
        """
        if isinstance(given, cls):
            return given
        known = [field.alias or name for name, field in cls.model_fields.items()]
        if not isinstance(given, Mapping):
            raise PydanticCustomError("no_object", "takes an object with {fields}", {"fields": ", ".join(known)})
        fields = rename_arguments(given, known, names_at_kie([cls]))
        if unknown := [name for name in fields if name not in known]:
            told = {"name": shorten(unknown[0], LONGEST_GIVEN), "others": list_arguments(known, unknown[0])}
            raise PydanticCustomError("unknown_field", "there is no {name}. {others}", told)
        return fields


def arguments_from_wire(model: type[BaseModel], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the fields of a KIE request into tool arguments: rename fields at any depth, unpack `InList` lists.

    Args:
        model: The class whose field names the arguments get.
        fields: Fields under KIE's names, in camel or snake case, or under the names in the class. Fields with unknown
            names are returned unchanged.
    """
    known: dict[str, str] = {}
    for name, field in model.model_fields.items():
        known |= {snake_case(field.serialization_alias or name): name, name: name}
    arguments = {}
    for key, value in fields.items():
        name = known.get(key) or known.get(snake_case(key), key)
        arguments[name] = _argument_value(model.model_fields[name], value) if name in model.model_fields else value
    return arguments


def _argument_value(field: FieldInfo, value: Any) -> Any:
    """Convert the value of a field in the request to KIE back into the value of the argument."""
    parts = [part for each in (field.annotation, *field.metadata) for part in walk_annotation(each)]
    if InList in parts and isinstance(value, list) and len(value) == 1:
        return value[0]
    structured = [part for part in parts if isinstance(part, type) and issubclass(part, Part)]
    if structured and isinstance(value, list):
        return [arguments_from_wire(structured[0], each) if isinstance(each, Mapping) else each for each in value]
    return value
