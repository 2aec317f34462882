"""Build the results of tool calls (CallToolResult).

A result contains the same answer twice: as a JSON object (structuredContent) and as text (content).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from mimetypes import guess_type
from operator import attrgetter
from pathlib import Path, PurePosixPath
from textwrap import indent
from typing import Any, TypeVar
from urllib.parse import urlsplit

from mcp_types import CallToolResult, ResourceLink, TextContent

from kie_mcp.catalog.credits import format_credits, format_number, format_worth, to_integer, usd_field
from kie_mcp.errors import BrokenRow, ConfirmationNeeded, KieMcpError, NotRecorded
from kie_mcp.kie.advice import Advice
from kie_mcp.ledger.task import Result, Task
from kie_mcp.tasks.batch import WITHOUT_RESULT, describe_items
from kie_mcp.tasks.money import Quote
from kie_mcp.tasks.order import Order
from kie_mcp.text import make_all_visible, make_visible, one_line

Answer = dict[str, Any]
"""The JSON object in the structuredContent of a result."""
ResultT = TypeVar("ResultT")

QUESTIONS = ("confirmation_needed", "declined")
"""Error categories that are not failures: the user has to agree first, or has declined.

For these errors, the field `status` of an answer is the category, and not `failed`.
"""
FindLink = Callable[[Result], str]
"""A function that returns the web address of a result, as `Storage.sign_links()` returns one."""

LONGEST_TEXT = 6_000
"""Maximum characters of each text that a task made, such as lyrics, in an answer; longer texts are cut."""


def build_result(answer: Mapping[str, Any], text: str, *, is_error: bool = False) -> CallToolResult:
    """Build a result that contains an answer as an object and as text, because several hosts show only one of them.

    Invisible characters are removed from all texts, including those of users and of KIE.
    """
    return CallToolResult(
        content=[TextContent(type="text", text=make_visible(text))],
        structured_content=make_all_visible(answer),
        is_error=is_error,
    )


def build_error_result(error: KieMcpError) -> CallToolResult:
    """Build the result of a tool call that failed; the result tells the agent what went wrong and what to do next."""
    status = name_status(error)
    answer: Answer = {"task_id": error.task_id} if error.task_id else {}
    if isinstance(error, ConfirmationNeeded):
        answer |= _describe_question(error)
    text = f"{error.task_id} {status}: {format_error(error.as_dict())}".lstrip()
    return build_result({**answer, "status": status, "error": error.as_dict()}, text, is_error=True)


def name_status(error: KieMcpError) -> str:
    """Return the field `status` for a call that raised an error: one of `QUESTIONS`, or the state of its task."""
    if error.category in QUESTIONS:
        return error.category
    # The task's newest state in the ledger is `submitting`, which is not final, so agents will call `get_task`.
    if isinstance(error, NotRecorded):
        return "submitting"
    return "unknown" if error.billed is None else "failed"


def _describe_question(needed: ConfirmationNeeded) -> Answer:
    """Return the cost to confirm and the balance, in the same fields as in a quote of `compare_models`."""
    answer: Answer = {}
    if needed.credits is not None:
        answer |= {"counted_credits": needed.credits, **usd_field("counted_usd", needed.credits)}
    if needed.balance is not None:
        answer |= {"balance": needed.balance, **usd_field("balance_usd", needed.balance)}
    return answer


def format_error(error: Mapping[str, Any]) -> str:
    """Return an error as one line of text: its message, cost, next step, category, and whether to retry the call."""
    billed = {True: "Credits were charged.", False: "Nothing was charged.", None: "Whether it was charged is unknown."}
    kind = f"({error.get('category', 'internal')}, {'retryable' if error.get('retryable') else 'not retryable'})"
    # KIE's messages often do not end with a full stop, so one is added.
    message = error.get("message", "").rstrip()
    end = "" if message.rstrip('"').endswith((".", "!", "?", "。", "！", "？")) else "."
    return one_line(f"{message}{end} {billed[error.get('billed')]} {error.get('next_step', '')} {kind}")


def describe_task(
    task: Task,
    *,
    now: float,
    usual: float,
    find_link: FindLink = attrgetter("link"),
    is_remote: bool = False,
    whole: bool = False,
) -> Answer:
    """Return a JSON object that describes a task: its id, status, model, files, texts, cost, time and next step.

    Args:
        task: The task to describe.
        now: The time now, in seconds since 1970.
        usual: Seconds that such a task usually takes.
        find_link: Returns the link to a result; by default KIE's link.
        is_remote: Whether the caller is on another machine, so that paths of this machine are no use to it.
        whole: True to keep long texts complete; otherwise each text is cut to `LONGEST_TEXT` characters.
    """
    answer: Answer = {"task_id": task.id, "status": task.state, "model": task.model}
    # A task stays `running` until its charge is known, even if its files are ready. Until then, the links of the files
    # are left out, because an agent would think that a task with links has ended.
    if task.results and task.final:
        answer["media"] = describe_media(task, find_link, with_links=is_remote or not task.is_batch)
    if task.texts and task.final:
        answer["texts"] = task.texts if whole else [truncate_text(text, task.id) for text in task.texts]
    answer |= describe_cost(task)
    if "usd" in answer and len(answer.get("media", ())) > 1:
        answer |= usd_field("usd_per_file", answer["credits"] / len(answer["media"]))
    if "estimated_credits" in answer:
        answer["basis"] = task.basis
    if task.note:
        answer["note"] = one_line(task.note)
    if task.is_batch:
        with suppress(BrokenRow):
            answer["items"] = describe_items(task)
    if task.error:
        answer["error"] = task.error
    elif not task.final:
        answer |= {"elapsed_seconds": max(round(now - task.created), 0), "usual_seconds": round(usual)}
        unaccepted = "" if task.state == "running" else "KIE has not said yet whether it takes the task. "
        answer["next_step"] = f"{unaccepted}get_task with this id; do not repeat the call."
    elif step := _find_next_step(task, answer, is_remote=is_remote):
        answer["next_step"] = step
    return answer


def _find_next_step(task: Task, answer: Answer, *, is_remote: bool) -> str:
    """Return what an agent can do with a task that has ended without an error; empty if there is nothing to say."""
    if any(each["status"] in WITHOUT_RESULT for each in answer.get("items", ())):
        return f"make_batch with retry: {task.id} makes the missing ones, and pays only for these."
    if task.is_batch:
        names = "" if is_remote else "; get_task with the id in a file's name tells its web link"
        return f"view_media with this id shows all files{names}."
    if task.results and not (task.saved or task.note or any(each.path for each in task.results)):
        return "The files are being saved: get_task with this id tells their paths."
    if is_remote and (without := [n for n, each in enumerate(answer.get("media", ()), start=1) if "url" not in each]):
        return tell_upload(task.id, *without)
    if any(each.path and each.mime_type.startswith("image/") for each in task.results):
        return "view_media with this id shows it."
    return ""


def tell_upload(id_: str, *numbers: int) -> str:
    """Return the advice for a caller on another machine that wants files without a URL, made on this machine."""
    files = " and ".join(f"task:{id_}#{number}" for number in numbers)
    return f"upload_file with {files} makes a link for the user, good for a day."


def describe_broken_row(task: Task) -> Answer:
    """Return a dictionary with the field `broken` if a task's row in the ledger is broken, or an empty dictionary."""
    return {"broken": task.error["message"]} if task.error and task.is_broken else {}


def describe_media(
    task: Task, find_link: FindLink = attrgetter("link"), *, with_links: bool = True
) -> list[dict[str, str]]:
    """Return one JSON object for each file that a task made, with its path and URL; empty fields are left out.

    With `with_links=False`, a file that has a path gets no URL, because the URLs of many files make an answer long.
    """
    return [
        {
            name: value
            for name, value in (
                ("path", each.local_path),
                ("url", find_link(each) if with_links or not each.local_path else ""),
                ("resource", each.path and f"kie://tasks/{task.id}/media/{number}"),
                # The MIME type is left out if the extension of the file's name already shows the type.
                ("mime_type", "" if PurePosixPath(each.path or each.link).suffix else each.mime_type),
                ("label", one_line(each.label)),
                ("facts", each.facts),
            )
            if value
        }
        for number, each in enumerate(task.results, start=1)
    ]


def format_task(answer: Mapping[str, Any], *, is_remote: bool = False) -> str:
    """Return the object from `describe_task()` as text; `is_remote` says whether the caller is on another machine."""
    facts = [*filter(None, (format_cost(answer), answer.get("basis")))]
    if "usd_per_file" in answer:
        facts.append(f"{format_worth(answer['credits'] / len(answer['media']))} a file")
    if "elapsed_seconds" in answer:
        facts.append(f"{answer['elapsed_seconds']} s of usually {answer['usual_seconds']} s")
    lines = [f"{answer['task_id']} {answer['model']} {answer['status']}" + (f" ({', '.join(facts)})" if facts else "")]
    lines += format_media(answer.get("media", ()), is_remote=is_remote)
    # A text such as lyrics keeps its line breaks. The `> ` before each line shows that kie-mcp did not write the line.
    lines += [f"{n}.\n{indent(text, '> ', bool)}" for n, text in enumerate(answer.get("texts", ()), start=1)]
    if "error" in answer:
        lines.append(format_error(answer["error"]))
    lines += [
        f"item {each['n']}, {each['status']}: {each['error']}" for each in answer.get("items", ()) if "error" in each
    ]
    lines += [answer[name] for name in ("note", "next_step") if name in answer]
    return "\n".join(lines)


def build_task_result(
    task: Task,
    *,
    now: float,
    usual: float,
    find_link: FindLink = attrgetter("link"),
    is_remote: bool = False,
    repeats: Order | None = None,
) -> CallToolResult:
    """Build a result that describes a task; the result is marked as an error if the task has an error.

    Args:
        task: The task to describe.
        now: The time now, in seconds since 1970.
        usual: Seconds that such a task usually takes.
        find_link: Returns the link to a result; by default KIE's link.
        is_remote: Whether the caller is on another machine.
        repeats: The order of this call if an earlier equal call started the task; None if this call started the task.
    """
    answer = describe_task(task, now=now, usual=usual, find_link=find_link, is_remote=is_remote)
    if repeats:
        ago = max(now - task.created, 0)
        sentences = [f"The same call was made {ago:.0f} s ago: this is its task, and nothing more is paid."]
        if task.state not in ("unknown", "failed"):
            # A failed or unknown task gets no such sentence, because the next step in its error says what to do.
            sentences.append(f"{_next_variation(repeats)} makes another.")
        answer["note"] = " ".join(filter(None, (*sentences, answer.get("note"))))
    return build_result(answer, format_task(answer, is_remote=is_remote), is_error=task.error is not None)


def add_links(result: CallToolResult) -> CallToolResult:
    """Add an MCP resource link for each saved file in a result, and return the same result object."""
    answer = result.structured_content or {}
    for described in (answer, *answer.get("tasks", ()), *answer.get("models", ())):
        for each in described.get("media", ()):
            if "resource" in each:
                place = each.get("path") or urlsplit(each.get("url", "")).path
                name, mime_type = Path(place).name, each.get("mime_type") or guess_type(place)[0]
                link = ResourceLink(type="resource_link", uri=each["resource"], name=name, mime_type=mime_type)
                result.content.append(link)
    return result


def add_note(result: ResultT, note: str) -> ResultT:
    """Add a sentence to a result, and return it; an `InputRequiredResult` (a question to the user) stays unchanged."""
    match result:
        case CallToolResult(content=[TextContent() as text, *_], structured_content=dict(answer)):
            text.text += f"\n{one_line(note)}"
            answer["note"] = " ".join(filter(None, (answer.get("note"), one_line(note))))
    return result


def _next_variation(order: Order) -> str:
    """Return the argument, such as `variation: 2`, that an equal call needs to start a new task."""
    return f"variation: {order.variation + 1}"


def build_quote_result(
    order: Order, earlier: Task | None, cost: Quote, balance: float, *, now: float, advice: Advice
) -> CallToolResult:
    """Build a result that tells how many credits a call would cost, and how many would then be left.

    Args:
        order: The order of the call; it is not sent to KIE.
        earlier: The task of an earlier equal call within the repeat window; this call then costs nothing. None if there
            was no such call.
        cost: The estimated cost and the source of the estimate.
        balance: Credits that the account has now.
        now: Seconds since 1970.
        advice: Sentences that tell the account's owner what to do if the balance is too low.
    """
    answer: Answer = {"status": "quoted", "model": order.call.id, "basis": cost.basis, "balance": balance}
    answer |= usd_field("balance_usd", balance)
    text = f"{order.call.id} would cost {cost}. The balance is {format_credits(balance)}"
    answer["next_step"] = "Nothing was sent. The same call without quote makes it."
    if cost.known:
        answer |= {"estimated_credits": list(cost.known), **usd_field("estimated_usd", *cost.known)}
        answer["balance_after"] = round(balance - cost.known[1], 2)
        text += f", and would then be {format_number(answer['balance_after'])}"
        if answer["balance_after"] < 0:
            text += ": that is too little"
            answer["next_step"] = f"Nothing was sent. {advice.top_up}, or choose something cheaper."
    if earlier:
        ago = max(now - earlier.created, 0)
        answer |= {"task_id": earlier.id, "balance_after": balance}
        answer["note"] = f"The same call was made {ago:.0f} s ago: it is task {earlier.id}, and costs nothing again."
        answer["next_step"] = (
            f"Nothing was sent. get_task shows the task; {_next_variation(order)} makes another at this price."
        )
        text = f"{order.call.id} costs {cost}. The balance is {format_credits(balance)}. {answer['note']}"
        return build_result(answer, f"{text} {answer['next_step']}")
    return build_result(answer, f"{text}. {answer['next_step']}")


def format_media(media: Sequence[Mapping[str, str]], *, is_remote: bool = False) -> Iterator[str]:
    """Yield the lines of text for the files that `describe_media()` returned.

    The first line of a file has its number and facts; the next lines have its path, its URL and its resource URI
    (`kie://`). A single file without facts has no first line. Paths are written unchanged, because people click on them
    and agents use them in later calls. A caller on another machine gets no path.
    """
    places = ("url", "resource") if is_remote else ("path", "url", "resource")
    for number, each in enumerate(media, start=1):
        facts = ", ".join(each[name] for name in ("label", "facts") if name in each)
        if facts or len(media) > 1:
            yield f"{number}. {facts}".rstrip()
        yield from (each[name] if name == "path" else one_line(each[name]) for name in places if name in each)


def describe_cost(task: Task) -> Answer:
    """Return the fields with the credits that a task cost, or, if the cost is unknown, with the estimated credits."""
    if task.credits is not None:
        return {"credits": to_integer(task.credits), **usd_field("usd", task.credits)}
    if task.estimate:
        return {
            "estimated_credits": [to_integer(each) for each in task.estimate],
            **usd_field("estimated_usd", *task.estimate),
        }
    return {}


def format_cost(answer: Mapping[str, Any]) -> str:
    """Return the cost in an answer as text, such as `about 4 to 30 credits`; empty if the answer has no cost."""
    if "credits" in answer:
        return format_credits(answer["credits"])
    return f"about {format_credits(*answer['estimated_credits'])}" if "estimated_credits" in answer else ""


def truncate_text(text: str, id_: str, most: int = LONGEST_TEXT) -> str:
    """Cut a task's text to `most` characters, and add the URI of the resource that contains the whole text."""
    return text if len(text) <= most else f"{text[:most]}… the rest is at kie://tasks/{id_}"
