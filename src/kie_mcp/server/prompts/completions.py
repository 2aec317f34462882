"""Handler of completion/complete, which suggests values for arguments of prompts and of resource templates."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CompleteRequestParams, CompleteResult, Completion, PromptReference

from kie_mcp.errors import InvalidCall, KieMcpError
from kie_mcp.server.app import App, Context

if TYPE_CHECKING:
    from kie_mcp.catalog.fields import Kind
OtherArguments = Mapping[str, str]
"""Arguments of the prompt or template that the user has already filled in."""
ValueSource = Callable[[App, OtherArguments], Awaitable[Sequence[str]]]
"""A function that returns the values to suggest for an argument."""

MAX_VALUES = 100
"""Maximum number of values in one answer, which the protocol sets."""
SEARCHED_TASKS = 1000
"""Number of tasks, newest first, from which suggested values are taken."""


async def complete(context: Context, params: CompleteRequestParams) -> CompleteResult:
    """Answer completion/complete with the values that begin with the typed text, then those that contain it."""
    name, others = params.argument.name, (params.context and params.context.arguments) or {}
    app = context.lifespan_context
    try:
        if isinstance(params.ref, PromptReference):
            values = await _prompt_values(app, params.ref.name, name, others)
        else:
            values = await _template_values(app, params.ref.uri, name, others)
    except InvalidCall as error:
        raise MCPError(INVALID_PARAMS, f"{error} {error.next_step}") from None
    except KieMcpError:
        # A tool call would report such an error, for example a missing key; a completion suggests nothing instead.
        values = ()
    found = match_values(params.argument.value, values)
    return CompleteResult(
        completion=Completion(values=found[:MAX_VALUES], total=len(found), has_more=len(found) > MAX_VALUES)
    )


def match_values(text: str, values: Sequence[str]) -> list[str]:
    """Return the values that begin with the text, then those that contain it, without duplicates."""
    wanted = text.strip().casefold()
    within = [value for value in dict.fromkeys(values) if wanted in value.casefold()]
    return sorted(within, key=lambda value: not value.casefold().startswith(wanted))


async def _prompt_values(app: App, prompt: str, argument: str, others: OtherArguments) -> Sequence[str]:
    from kie_mcp.server.prompts import playbooks

    fields = playbooks.find_playbook(prompt).model_fields
    if argument not in fields:
        raise InvalidCall(
            f"{prompt} has no argument {playbooks.quote(argument, 60)}.", f"It takes {', '.join(fields)}."
        )
    if choices := list(_choices(fields[argument].annotation)):
        return choices
    source = ARGUMENTS.get(argument)
    return await source(app, others) if source else ()


async def _template_values(app: App, template: str, argument: str, others: OtherArguments) -> Sequence[str]:
    places = TEMPLATES.get(template, {})
    if argument not in places:
        known = "; ".join(f"{each} ({', '.join(TEMPLATES[each])})" for each in TEMPLATES)
        raise InvalidCall("There is no such place in such an address.", f"There are {known}.")
    return await places[argument](app, others)


def _choices(annotation: Any) -> Iterator[str]:
    if get_origin(annotation) is Literal:
        yield from (value for value in get_args(annotation) if value)
    else:
        for part in get_args(annotation):
            yield from _choices(part)


async def _models(_: App, __: OtherArguments) -> Sequence[str]:
    return _ids(None)


async def _video_models(_: App, __: OtherArguments) -> Sequence[str]:
    return _ids("video")


def _ids(kind: "Kind | None") -> list[str]:
    from kie_mcp.catalog import search

    return [entry.model.id for entry in search.find_models(kind=kind).entries]


async def _voices(_: App, __: OtherArguments) -> Sequence[str]:
    from kie_mcp.catalog.vendors import elevenlabs, gemini

    # KIE publishes ids of the ElevenLabs voices, but a name for only one of them, so only that one is suggested.
    return [elevenlabs.Speech.model_fields["voice"].default, *get_args(gemini.VoiceName)]


async def _tasks(app: App, _: OtherArguments) -> Sequence[str]:
    return [task.id for task in await (await app.runner()).ledger.page(limit=SEARCHED_TASKS)]


async def _tasks_with_files(app: App, _: OtherArguments) -> Sequence[str]:
    return [task.id for task in await (await app.runner()).ledger.page(limit=SEARCHED_TASKS) if task.results]


async def _numbers(app: App, others: OtherArguments) -> Sequence[str]:
    task = await (await app.runner()).ledger.find(others.get("id", ""))
    return [str(number) for number in range(1, len(task.results) + 1)] if task else ()


async def _pictures(app: App, _: OtherArguments) -> Sequence[str]:
    return await _results(app, "image")


async def _songs(app: App, _: OtherArguments) -> Sequence[str]:
    return await _results(app, "audio")


async def _results(app: App, kind: "Kind") -> list[str]:
    tasks = await (await app.runner()).ledger.page(kind=kind, states=("succeeded",), limit=SEARCHED_TASKS)
    return [f"task:{task.id}#{number}" for task in tasks for number in range(1, len(task.results) + 1)]


async def _uploads(app: App, _: OtherArguments) -> Sequence[str]:
    return [upload.id for upload in await (await app.runner()).ledger.uploads.live(app.clock.time())]


ARGUMENTS: dict[str, ValueSource] = {"model": _video_models, "voice": _voices, "picture": _pictures, "song": _songs}
"""Sources of values for the arguments of prompts, by argument name."""

TEMPLATES: dict[str, dict[str, ValueSource]] = {
    "kie://models/{id}": {"id": _models},
    "kie://tasks/{id}": {"id": _tasks},
    "kie://tasks/{id}/media/{n}": {"id": _tasks_with_files, "n": _numbers},
    "kie://uploads/{id}": {"id": _uploads},
}
"""Sources of values for the variables of resource templates."""
