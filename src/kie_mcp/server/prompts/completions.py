"""What may stand for an argument of a prompt or a place in an address, offered while somebody types."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CompleteRequestParams, CompleteResult, Completion, PromptReference

from kie_mcp.errors import InvalidCall, KieMcpError
from kie_mcp.server.app import App, Context

if TYPE_CHECKING:
    from kie_mcp.catalog.fields import Kind
Given = Mapping[str, str]
"""The other arguments, as far as the client knows them."""
Source = Callable[[App, Given], Awaitable[Sequence[str]]]

MOST = 100
"""Values of one answer, as the protocol has it."""
TASKS = 1000
"""The newest tasks, among which is looked."""


async def complete(context: Context, params: CompleteRequestParams) -> CompleteResult:
    """Answer completion/complete: what begins with the text, then what contains it."""
    name, given = params.argument.name, (params.context and params.context.arguments) or {}
    app = context.lifespan_context
    try:
        if isinstance(params.ref, PromptReference):
            values = await _of_prompt(app, params.ref.name, name, given)
        else:
            values = await _of_template(app, params.ref.uri, name, given)
    except InvalidCall as error:
        raise MCPError(INVALID_PARAMS, f"{error} {error.next_step}") from None
    except KieMcpError:
        # Every call says what is missing; here there is merely nothing to offer.
        values = ()
    found = fitting(params.argument.value, values)
    return CompleteResult(completion=Completion(values=found[:MOST], total=len(found), has_more=len(found) > MOST))


def fitting(text: str, values: Sequence[str]) -> list[str]:
    """The values that begin with the text, then those that contain it, each once."""
    wanted = text.strip().casefold()
    within = [value for value in dict.fromkeys(values) if wanted in value.casefold()]
    return sorted(within, key=lambda value: not value.casefold().startswith(wanted))


async def _of_prompt(app: App, prompt: str, argument: str, given: Given) -> Sequence[str]:
    from kie_mcp.server.prompts import playbooks

    fields = playbooks.named(prompt).model_fields
    if argument not in fields:
        raise InvalidCall(
            f"{prompt} has no argument {playbooks.quoted(argument, 60)}.", f"It takes {', '.join(fields)}."
        )
    if choices := list(_choices(fields[argument].annotation)):
        return choices
    source = ARGUMENTS.get(argument)
    return await source(app, given) if source else ()


async def _of_template(app: App, template: str, argument: str, given: Given) -> Sequence[str]:
    places = TEMPLATES.get(template, {})
    if argument not in places:
        known = "; ".join(f"{each} ({', '.join(TEMPLATES[each])})" for each in TEMPLATES)
        raise InvalidCall("There is no such place in such an address.", f"There are {known}.")
    return await places[argument](app, given)


def _choices(annotation: Any) -> Iterator[str]:
    if get_origin(annotation) is Literal:
        yield from (value for value in get_args(annotation) if value)
    else:
        for part in get_args(annotation):
            yield from _choices(part)


async def _models(_: App, __: Given) -> Sequence[str]:
    return _ids(None)


async def _video_models(_: App, __: Given) -> Sequence[str]:
    return _ids("video")


def _ids(kind: "Kind | None") -> list[str]:
    from kie_mcp.catalog import search

    return [entry.model.id for entry in search.find(kind=kind)]


async def _voices(_: App, __: Given) -> Sequence[str]:
    from kie_mcp.catalog.vendors import elevenlabs, gemini

    # KIE publishes ids of ElevenLabs's voices and a single name.
    return [elevenlabs.Speech.model_fields["voice"].default, *get_args(gemini.VoiceName)]


async def _tasks(app: App, _: Given) -> Sequence[str]:
    return [task.id for task in await (await app.runner()).ledger.page(limit=TASKS)]


async def _tasks_with_files(app: App, _: Given) -> Sequence[str]:
    return [task.id for task in await (await app.runner()).ledger.page(limit=TASKS) if task.results]


async def _numbers(app: App, given: Given) -> Sequence[str]:
    task = await (await app.runner()).ledger.find(given.get("id", ""))
    return [str(number) for number in range(1, len(task.results) + 1)] if task else ()


async def _pictures(app: App, _: Given) -> Sequence[str]:
    return await _results(app, "image")


async def _songs(app: App, _: Given) -> Sequence[str]:
    return await _results(app, "audio")


async def _results(app: App, kind: "Kind") -> list[str]:
    tasks = await (await app.runner()).ledger.page(kind=kind, states=("succeeded",), limit=TASKS)
    return [f"task:{task.id}#{number}" for task in tasks for number in range(1, len(task.results) + 1)]


async def _uploads(app: App, _: Given) -> Sequence[str]:
    return [upload.id for upload in await (await app.runner()).ledger.live_uploads(app.clock.time())]


ARGUMENTS: dict[str, Source] = {"model": _video_models, "voice": _voices, "picture": _pictures, "song": _songs}
"""What is offered for the arguments of prompts, by their names."""

TEMPLATES: dict[str, dict[str, Source]] = {
    "kie://models/{id}": {"id": _models},
    "kie://tasks/{id}": {"id": _tasks},
    "kie://tasks/{id}/media/{n}": {"id": _tasks_with_files, "n": _numbers},
    "kie://uploads/{id}": {"id": _uploads},
}
"""What is offered for the places in addresses."""
