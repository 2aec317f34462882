"""Change arguments that mean one thing together: a task and its song, a result and its index, a picture to edit."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kie_mcp.catalog.argument_names import says_nothing
from kie_mcp.catalog.argument_values import read_value
from kie_mcp.catalog.fields import parse_result_number
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.names import strip_mode
from kie_mcp.catalog.reference_spellings import name_task


def join_song(tasks: Sequence[Any], song: Any) -> Any:
    """Join the task of a song with the song's number, id or own reference to one reference: `task:<id>#<n>`.

    Args:
        tasks: What a call names as the task; several values have to mean one task.
        song: What the call names as the song; None if it names the task alone. Values may be invalid.

    Returns:
        The reference; a value that is neither a text nor a number is returned as it is, and will be refused.

    Raises:
        ValueError: The values name different tasks or songs.
    """
    given = [read_value(each, {"type": "string"}) for each in (*tasks, song)]
    if wrong := [each for each in given if not isinstance(each, str | int | None)]:
        return wrong[0]
    *named, last = ["" if each is None else str(each).strip() for each in given]
    whole = name_task(last)
    references = [*map(name_task, named), whole if whole.startswith("task:") else f"#{last.removeprefix('#')}"]
    parts = [each.removeprefix("task:").partition("#") for each in references]
    ids = {id_ for id_, _, _ in parts} - {"", "-"}
    numbers = {number for _, _, number in parts} - {""}
    if len(ids) > 1 or len(numbers) > 1:
        raise ValueError(f"track is one song, and the call names several: {', '.join(filter(None, (*named, last)))}")
    return "#".join([f"task:{''.join(ids)}", *numbers])


def fill_index(given: Mapping[str, Any], task: str, index: str) -> dict[str, Any]:
    """Fill the index of a result from the number in the reference to its task: `task:t_ab12#4` has the index 3.

    Args:
        given: The arguments of a call. Values may be invalid.
        task: The name of the argument that names the task.
        index: The name of the argument that takes the index; 0 means the first result.

    Raises:
        ValueError: The call also has another index.
    """
    reference = read_value(given.get(task), {"type": "string"})
    number = parse_result_number(name_task(reference).partition("#")[2]) if isinstance(reference, str) else None
    if not number:
        return dict(given)
    stated = read_value(given.get(index), {"type": "integer"})
    if not says_nothing(stated) and stated != number - 1:
        raise ValueError(f"{index} {stated} is not result {number} ({index} {number - 1}), which {task} names")
    return {**given, index: number - 1}


def use_images(
    given: dict[str, Any],
    known: Collection[str],
    models: Sequence[type[KieModel]],
    named: Collection[type[KieModel]],
) -> dict[str, Any]:
    """Give a picture to edit the name `images` if no model has `image` and all other arguments of the call.

    Args:
        given: The arguments of the call.
        known: The names of the arguments that count: those of the tool, without those whose values have no effect.
        models: The models of the tool.
        named: The models with the name in the call; only these and their other modes count.
    """
    if "image" not in given or "images" in given:
        return given
    modes = {strip_mode(model) for model in named or models}
    others = (given.keys() & known) - {"image"}
    fields = [model.model_fields.keys() for model in models if strip_mode(model) in modes]
    if any({"image", *others} <= each for each in fields) or not any({"images", *others} <= each for each in fields):
        return given
    return {"images" if name == "image" else name: value for name, value in given.items()}
