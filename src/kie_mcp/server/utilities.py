"""The tools that make nothing: tasks, credits, files, and finding a model."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from mcp_types import CallToolResult, InputRequiredResult
from pydantic import Field

from kie_mcp.catalog import search
from kie_mcp.catalog.arguments import Options
from kie_mcp.catalog.fields import Kind
from kie_mcp.errors import ConfigurationError, InvalidCall
from kie_mcp.server import answers, running
from kie_mcp.server.comparing import COMPARE_MODELS
from kie_mcp.server.library import LIBRARY, LIST_TASKS, when
from kie_mcp.server.tools import Asked, generate, progress_of
from kie_mcp.server.utility import Arguments, Utility
from kie_mcp.tasks.runner import NOT_CREATED
from kie_mcp.tasks.spending import DAY, By, report

if TYPE_CHECKING:
    from kie_mcp.server.app import App

USD_PER_CREDIT = 0.005
LONGEST_REPORT = 7000
"""Bytes of a report, whichever form is larger."""
LONGEST_NAME = 60
"""Characters of a model's id in it."""
LINK_MINUTES = 20
"""How long a link of get_download_url lives."""


class GetTask(Arguments):
    """Which tasks, and for how long to wait."""

    task_ids: tuple[str, ...] = Field(min_length=1, max_length=10)
    wait_seconds: Annotated[float, Field(ge=0, le=600)] = 0


async def get_task(app: "App", asked: Asked, wanted: GetTask) -> CallToolResult:
    """Answer how tasks are, waiting for them if asked to."""
    runner = await app.runner()
    tasks = [await runner.get(id_) for id_ in wanted.task_ids]
    usual = {task.id: (await runner.usual(task)).seconds for task in tasks}
    if wanted.wait_seconds:
        tasks = await runner.wait(tasks, wanted.wait_seconds, progress_of(app, asked.context, usual))
    now = app.clock.time()
    if len(tasks) == 1:
        return answers.task_result(tasks[0], now=now, usual=usual[tasks[0].id])
    shown = [answers.task_answer(task, now=now, usual=usual[task.id]) for task in tasks]
    return answers.result({"tasks": shown}, "\n\n".join(answers.task_text(each) for each in shown))


async def get_credits(app: "App", _: Asked, __: Arguments) -> CallToolResult:
    """Read the balance."""
    balance = await (await app.runner()).client.credits()
    usd = round(balance * USD_PER_CREDIT, 2)
    return answers.result({"credits": balance, "usd": usd}, f"{balance:,.10g} credits, about {usd:.2f} USD.")


class UploadFile(Arguments):
    """The file to hand over: exactly one of path, url and base64."""

    path: str | None = None
    url: str | None = None
    base64: str | None = Field(None, description="Small files only; hosts cut long arguments.")
    name: str = Field("", description="File name to give it.")


async def upload_file(app: "App", _: Asked, wanted: UploadFile) -> CallToolResult:
    """Hand a file over to KIE."""
    given = [name for name in ("path", "url", "base64") if getattr(wanted, name)]
    if len(given) != 1:
        raise InvalidCall("upload_file takes exactly one of path, url and base64.", "Give one of them.")
    publisher = (await app.runner()).publisher
    if wanted.path:
        upload = await publisher.upload_path(wanted.path)
    elif wanted.url:
        upload = await publisher.upload_url(wanted.url, wanted.name)
    else:
        upload = await publisher.upload_base64(wanted.base64 or "", wanted.name)
    answer = {
        "upload_id": upload.id,
        "url": upload.url,
        "name": upload.name,
        "expires": when(upload.expires),
    }
    text = f"{upload.name} is at {upload.url} until {answer['expires']}: pass the URL, or kie://uploads/{upload.id}."
    return answers.result(answer, answers.one_line(text))


class GetDownloadUrl(Arguments):
    """The file to link to."""

    file: str = Field(description="task:<id>#<n>, or a URL of KIE's.")


async def get_download_url(app: "App", _: Asked, wanted: GetDownloadUrl) -> CallToolResult:
    """Make a link that a browser saves."""
    runner = await app.runner()
    url = await runner.client.download_url(await runner.publisher.address(wanted.file))
    text = answers.one_line(f"{url} (for {LINK_MINUTES} minutes)")
    return answers.result({"url": url, "minutes": LINK_MINUTES}, text)


class ViewMedia(Arguments):
    """What to look at."""

    task_id: str
    n: Annotated[int, Field(ge=1)] | None = Field(None, description="One result, counted from 1; all when left out.")


async def view_media(app: "App", _: Asked, wanted: ViewMedia) -> CallToolResult:
    """Show what a task made."""
    from kie_mcp.server import viewing

    return await viewing.show(app, wanted.task_id, wanted.n)


class FindModels(Arguments):
    """What the model should do."""

    words: str = Field("", description="Such as: kling image.")
    kind: Kind | None = None
    mode: str = Field("", description="Such as image-to-video.")
    max_credits: float | None = Field(None, description="For one call with default arguments.")
    page: Annotated[int, Field(ge=1)] = 1


PAGE = 12


async def find_models(app: "App", __: Asked, wanted: FindModels) -> CallToolResult:
    """Find models by words, kind, mode and price, among ours and KIE's of today."""
    offered = await running.ask(app)
    found = search.find(wanted.words, kind=wanted.kind, mode=wanted.mode, max_credits=wanted.max_credits)
    rows = [running.marked(search.row(entry), running.standing(entry.model, offered)) for entry in found]
    if wanted.max_credits is None:
        rows += running.strangers(offered, wanted.words, wanted.kind, wanted.mode)
    pages = math.ceil(len(rows) / PAGE)
    shown = rows[(wanted.page - 1) * PAGE : wanted.page * PAGE]
    answer = {"models": shown, "page": wanted.page, "pages": pages}
    lines = ["{model} ({tool}, {mode}, {credits} credits): {about}".format(**row) for row in shown]
    if pages > 1:
        lines.append(f"Page {wanted.page} of {pages}.")
    return _informed(app, answer, "\n".join(lines) or "No model fits. Try fewer words.")


class DescribeModel(Arguments):
    """Which model."""

    model: str


async def describe_model(app: "App", __: Asked, wanted: DescribeModel) -> CallToolResult:
    """Tell all about one model."""
    description = await running.describe(app, wanted.model)
    return _informed(app, description, search.text(description))


class RunModel(Options):
    """Which model, and its input."""

    model: str
    input: dict[str, Any] = Field(
        description="Fields as in KIE's documentation, or as describe_model shows.",
        json_schema_extra={"properties": {"prompt": {"type": "string"}}},
    )
    unchecked: bool = Field(default=False, description="For a model without a published schema.")


async def run_model(app: "App", asked: Asked, wanted: RunModel) -> CallToolResult | InputRequiredResult:
    """Run any model that KIE offers."""
    order = await running.prepare(await app.live(), wanted.model, wanted.input, unchecked=wanted.unchecked)
    return await generate(app, asked, replace(order, variation=wanted.variation), wanted)


class ResolveTask(Arguments):
    """Which task, and what became of it."""

    task_id: str
    outcome: str = Field(description=f"KIE's id of it, as its log shows it, or: {NOT_CREATED}.", min_length=1)


async def resolve_task(app: "App", _: Asked, wanted: ResolveTask) -> CallToolResult:
    """Settle what became of a task that is unknown."""
    runner = await app.runner()
    task = await runner.resolve(wanted.task_id, wanted.outcome)
    answer = answers.task_answer(task, now=app.clock.time(), usual=(await runner.usual(task)).seconds)
    # That it was never made is what was asked for, no error.
    return answers.result(answer, answers.task_text(answer))


class SpendReport(Arguments):
    """Of what."""

    by: By = "day"
    days: Annotated[int, Field(ge=1, le=3650)] = 30


async def spend_report(app: "App", _: Asked, wanted: SpendReport) -> CallToolResult:
    """Tell what was spent."""
    runner = await app.runner()
    lines = report(await runner.ledger.since(app.clock.time() - wanted.days * DAY), wanted.by)
    *rows, total = [line.rounded() for line in lines]
    shown = [*_fitting({**row, "of": answers.one_line(str(row["of"]))[:LONGEST_NAME]} for row in rows)]
    text = [_spent(line) for line in (*shown, total)] if rows else [f"No tasks in the last {wanted.days} days."]
    if len(rows) > len(shown):
        text.insert(-1, f"{len(rows) - len(shown)} more.")
    answer = {"by": wanted.by, "days": wanted.days, "lines": shown, "more": len(rows) - len(shown), "all": total}
    return answers.result(answer, "\n".join(text))


def _spent(line: Mapping[str, Any]) -> str:
    """A line of the report in words, without what is nothing."""
    text = "{of}: {charged:,.10g} credits for {succeeded} of {tasks} tasks"
    if line["failed"]:
        text += "; failed {failed} ({failed_charged:,.10g} charged, {refunded:,.10g} refunded)"
    if line["unknown"]:
        text += "; unknown {unknown}, to be settled with resolve_task"
    if line["open"]:
        text += "; {open:,.10g} may still be charged"
    return text.format(**line)


def _fitting(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The first rows, as long as there is room."""
    room = LONGEST_REPORT
    for row in rows:
        room -= max(len(json.dumps(row, ensure_ascii=False).encode()), len(_spent(row).encode())) + 1
        if room < 0:
            return
        yield row


def _informed(app: "App", answer: Mapping[str, Any], text: str) -> CallToolResult:
    """What needs no key answers without one, and says that nothing can be made yet."""
    try:
        _ = app.settings.key
    except ConfigurationError as error:
        note = f"{error} {error.next_step}"
        return answers.result({**answer, "note": note}, f"{text}\n{note}")
    return answers.result(answer, text)


UTILITIES = (
    Utility(
        "get_task",
        "How tasks are and what they made. With wait_seconds it answers as soon as all have ended; 50 suits most "
        "clients. Costs nothing.",
        GetTask,
        get_task,
    ),
    LIST_TASKS,
    LIBRARY,
    Utility("get_credits", "The account's balance.", Arguments, get_credits),
    Utility(
        "spend_report",
        "Credits spent, by day, model or kind; failed, refunded and unknown apart.",
        SpendReport,
        spend_report,
        open_world=False,
    ),
    Utility(
        "resolve_task",
        "Settle a task whose status is unknown, once the user has looked at https://kie.ai/logs.",
        ResolveTask,
        resolve_task,
        read_only=False,
    ),
    Utility(
        "upload_file",
        "Put a file at KIE for about a day, at a public URL. Rarely needed: file arguments upload local files "
        "themselves.",
        UploadFile,
        upload_file,
        read_only=False,
    ),
    Utility(
        "get_download_url",
        "A link for a person to save a result, good for 20 minutes.",
        GetDownloadUrl,
        get_download_url,
    ),
    Utility(
        "view_media",
        "See what a task made, as one small picture: an image, several side by side with their numbers, a frame of a "
        "video, the waveform of a sound.",
        ViewMedia,
        view_media,
        open_world=False,
    ),
    Utility("find_models", "Find models by words, kind, mode or price.", FindModels, find_models),
    Utility("describe_model", "Arguments, limits and price of one model.", DescribeModel, describe_model),
    Utility(
        running.TOOL,
        "Run any model that KIE offers, by its id. Spends credits like the tool of its own.",
        RunModel,
        run_model,
        read_only=False,
    ),
    COMPARE_MODELS,
)
