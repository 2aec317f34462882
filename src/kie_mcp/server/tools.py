"""The tools: what is listed comes from a file, what is called from the catalogue."""

import json
import logging
import math
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from mcp.server.context import ServerRequestContext
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
)

from kie_mcp.errors import ConfigurationError, ConfirmationNeeded, InvalidCall, KieMcpError
from kie_mcp.server import gallery, tasks_extension

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kie_mcp.catalog.arguments import Options
    from kie_mcp.catalog.family import Family
    from kie_mcp.ledger.task import Task
    from kie_mcp.server.app import App
    from kie_mcp.tasks.order import Order
    from kie_mcp.tasks.runner import Report

logger = logging.getLogger(__name__)

Context = ServerRequestContext[Any, Any]


class Asked(NamedTuple):
    """A call as it came in."""

    context: Context
    params: CallToolRequestParams


WAITED_FOR = 60
"""A task that usually takes no longer than this, in seconds, is waited for inside the call."""
BETWEEN_REPORTS = 1
"""Seconds between two progress notifications."""

BEFORE_LINKS = frozenset({"2024-11-05", "2025-03-26"})
"""Versions of the protocol that know no resource links."""


class Selection:
    """The tools that one server shows, for as long as it runs."""

    def __init__(self, words: str = "") -> None:
        """Choose them.

        Args:
            words: A size (`standard`, `compact`, `all`), or a comma list of tools and kinds, which the tools that make
                nothing always join. Empty means `standard`.

        Raises:
            ConfigurationError: When a word names nothing.
        """
        sets, utilities = _written()["sets"], _written()["utilities"]
        tools = {tool["name"]: tool for tool in _written()["tools"]}
        self.names: set[str] = set()
        for word in words.replace(",", " ").casefold().split() or ("standard",):
            if word not in sets and word not in tools:
                raise ConfigurationError(f"There is no set of tools, and no tool, {word!r}.", _near(word, sets, tools))
            self.names.update(sets.get(word, (word, *utilities)))
        self.tools = [tool for name, tool in tools.items() if name in self.names]
        self.listed = ListToolsResult.model_validate({"tools": self.tools})
        self.only_utilities = self.names.issubset(utilities)

    def is_read_only(self, name: str) -> bool:
        """Whether a tool of these is one that spends and changes nothing."""
        return any(tool["name"] == name and tool["annotations"]["readOnlyHint"] for tool in self.tools)


@cache
def _written() -> dict[str, Any]:
    """What `python -m kie_mcp.server.listing` wrote: making it from the catalogue takes 150 ms."""
    written: dict[str, Any] = json.loads(files("kie_mcp.server").joinpath("tools.json").read_bytes())
    return written


def _near(word: str, sets: "Iterable[str]", tools: "Iterable[str]") -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, [*sets, *tools], n=3)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    return f"{hint}KIE_MCP_TOOLS and --tools take {', '.join(sets)} and names of tools, separated by commas."


async def list_tools(context: Context, _: PaginatedRequestParams | None) -> ListToolsResult:
    """Answer tools/list."""
    app: App = context.lifespan_context
    listed = app.selection.listed
    return gallery.with_gallery(listed, _written()["utilities"]) if gallery.can_show(context) else listed


async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
    """Answer tools/call; whatever goes wrong is an answer too."""
    from kie_mcp.server import answers

    app: App = context.lifespan_context
    try:
        told = await _call(app, context, params)
    except KieMcpError as error:
        return answers.failure(error)
    except Exception:
        logger.exception("tool %r", params.name)
        # Whatever spends nothing cannot have been charged; of the others the ledger may know.
        billed = False if app.selection.is_read_only(params.name) else None
        return answers.failure(
            KieMcpError("Something went wrong inside kie-mcp; its log tells what.", "Ask list_tasks.", billed=billed)
        )
    if context.protocol_version in BEFORE_LINKS and isinstance(told, CallToolResult):
        return answers.without_links(told)
    return told


async def _call(app: "App", context: Context, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
    from kie_mcp.catalog.registry import FAMILIES
    from kie_mcp.server.utilities import UTILITIES

    name, arguments = params.name, params.arguments or {}
    if name == gallery.TOOL.name:
        return await gallery.show(app, arguments)
    if name not in app.selection.names:
        raise InvalidCall(f"There is no tool {name!r}.", "Ask for the list of tools; run_model runs any model.")
    for family in FAMILIES:
        if family.tool == name:
            return await _generate(app, Asked(context, params), family, arguments)
    (utility,) = (utility for utility in UTILITIES if utility.name == name)
    return await utility(app, Asked(context, params), arguments)


async def _generate(
    app: "App", asked: Asked, family: "Family", arguments: dict[str, Any]
) -> CallToolResult | InputRequiredResult:
    from pydantic import ValidationError

    from kie_mcp.catalog.arguments import OPTIONS, Options, coerce_arguments, explain_problem
    from kie_mcp.tasks.order import Order

    try:
        given = {name: value for name, value in arguments.items() if name in OPTIONS and value is not None}
        options = Options.model_validate(coerce_arguments(given, {"properties": OPTIONS}))
        order = Order(family.tool, family.parse(arguments), variation=options.variation)
    except ValidationError as error:
        raise _refused("; ".join(explain_problem(problem) for problem in error.errors(include_url=False))) from None
    except ValueError as error:
        raise _refused(str(error)) from None
    return await generate(app, asked, order, options)


def _refused(reason: str) -> InvalidCall:
    return InvalidCall(f"{reason.rstrip('.')}.", "Nothing was sent. Mend the arguments and call again.")


async def generate(
    app: "App", asked: Asked, order: "Order", options: "Options"
) -> CallToolResult | InputRequiredResult:
    """Start a task and wait for it if it is a quick one, unless the client can wait better; or only tell its cost."""
    from kie_mcp.server import answers, asking, running
    from kie_mcp.tasks import failures

    model, runner = order.call, await app.runner()
    order = await running.priced(app, order)
    with failures.before_kie_is_asked():
        known = await runner.made_before(order)
        if options.quote:
            cost, balance = await runner.quote(order), await runner.client.credits()
            return answers.quoted(order, known, cost, balance, now=app.clock.time())
    if not known and not options.anyway:
        await running.check_health(await app.live(), type(model))
    try:
        task = await runner.submit(order, confirm=asking.brought(asked.params) or options.confirm)
    except ConfirmationNeeded as needed:
        if question := await asking.ask(asked.context, needed):
            return question
        task = await runner.submit(order, confirm=needed.confirm)
    usual = (await runner.usual(task)).seconds
    if model.usual_seconds <= WAITED_FOR and not tasks_extension.declared(asked.context):
        report = progress_of(app, asked.context, {task.id: usual})
        (task,) = await runner.wait([task], app.settings.wait_seconds, report)
    repeats = order if task.id != order.id else None
    result = answers.task_result(task, now=app.clock.time(), usual=usual, repeats=repeats)
    return tasks_extension.Started.of(task, result) if runner.busy(task) else result


def progress_of(app: "App", context: Context, usual: "Mapping[str, float]") -> "Report":
    """Tells the client, while it waits, how far the tasks are: at most once a second, and never less than before.

    Args:
        app: What keeps time.
        context: The call that waits; a client that gave no progress token is told nothing.
        usual: Seconds that each task usually takes, by its id.
    """
    from kie_mcp.server import answers

    clock = app.clock
    # Elapsed time must not go back, though the machine's time of day may.
    start = clock.time() - clock.monotonic()
    told, told_at = -1.0, -math.inf

    async def report(tasks: "Sequence[Task]") -> None:
        nonlocal told, told_at
        moment = clock.monotonic()
        # People see it as it is.
        reached = round(answers.fraction(tasks, usual, now=start + moment), 4)
        # 1 is left to the answer itself.
        if moment - told_at < BETWEEN_REPORTS or not told < reached < 1:
            return
        told, told_at = reached, moment
        await context.session.report_progress(reached, 1, answers.sentence(tasks, usual, now=start + moment))

    return report
