"""Handler of completion/complete requests, which suggests values for arguments of prompts and resource templates."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CompleteRequestParams, CompleteResult, Completion, PromptReference

from kie_mcp.errors import InvalidCall, KieMcpError
from kie_mcp.server.app import App, Context

if TYPE_CHECKING:
    from kie_mcp.catalog.fields import Kind
OtherArguments = Mapping[str, str]
"""The values of a prompt's or resource template's arguments that the user has already filled in, by argument name."""
ValueSource = Callable[[App, OtherArguments], Awaitable[Sequence[str]]]
"""The type of functions that return the possible values of one argument."""

MAX_VALUES = 100
"""Maximum number of values in one answer; the MCP specification sets this limit."""
SEARCHED_TASKS = 1000
"""Number of the newest tasks that are searched for values to suggest."""


async def complete(context: Context, params: CompleteRequestParams) -> CompleteResult:
    """Answer completion/complete: first the values that begin with the typed text, then those that contain it."""
    from kie_mcp.ledger.ledger import LedgerError

    name, others = params.argument.name, (params.context and params.context.arguments) or {}
    app = context.lifespan_context
    try:
        if isinstance(params.ref, PromptReference):
            values = await _prompt_values(app, params.ref.name, name, others)
        else:
            values = await _template_values(app, params.ref.uri, name, others)
    except InvalidCall as error:
        raise MCPError(INVALID_PARAMS, f"{error} {error.next_step}") from None
    except (KieMcpError, LedgerError):
        # An error such as a missing API key would disturb a user who is typing, so the answer suggests no values.
        values = ()
    found = match_values(params.argument.value, values)
    return CompleteResult(
        completion=Completion(values=found[:MAX_VALUES], total=len(found), has_more=len(found) > MAX_VALUES)
    )


def match_values(text: str, values: Sequence[str]) -> list[str]:
    """Return the values that begin with a text, then the other values that contain the text, without duplicates."""
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

    # Of the ElevenLabs voices, only one is suggested: users do not recognise a voice by its id, and KIE publishes a
    # name for only one voice.
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
"""For each argument name of a prompt, the function that returns the values to suggest."""

TEMPLATES: dict[str, dict[str, ValueSource]] = {
    "kie://models/{id}": {"id": _models},
    "kie://tasks/{id}": {"id": _tasks},
    "kie://tasks/{id}/media/{n}": {"id": _tasks_with_files, "n": _numbers},
    "kie://uploads/{id}": {"id": _uploads},
}
"""For each resource template and each of its variables, the function that returns the values to suggest."""
