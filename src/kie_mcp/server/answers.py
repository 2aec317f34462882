"""What a caller reads: every answer as one object, once structured and once as text that says the same."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from textwrap import indent
from typing import Any, TypeVar

from mcp_types import CallToolResult, ResourceLink, TextContent

from kie_mcp.errors import KieMcpError
from kie_mcp.ledger.task import Task
from kie_mcp.tasks.money import Quote
from kie_mcp.tasks.order import Order

Answer = dict[str, Any]
Made = TypeVar("Made")

LONGEST_TEXT = 6_000
"""Characters of a text that an answer tells."""


def result(answer: Mapping[str, Any], text: str, *, is_error: bool = False) -> CallToolResult:
    """An answer in both forms: several hosts show only one of them."""
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content=dict(answer), is_error=is_error
    )


def failure(error: KieMcpError) -> CallToolResult:
    """An error that the model can read and act on."""
    status = "unknown" if error.billed is None else "failed"
    answer = {"task_id": error.task_id} if error.task_id else {}
    text = f"{error.task_id} {status}: {error_text(error.as_dict())}".lstrip()
    return result({**answer, "status": status, "error": error.as_dict()}, text, is_error=True)


def error_text(error: Mapping[str, Any]) -> str:
    """What happened, what it cost, what to do next, what kind of error it is."""
    billed = {True: "Credits were charged.", False: "Nothing was charged.", None: "Whether it was charged is unknown."}
    kind = f"({error['category']}, {'retryable' if error['retryable'] else 'not retryable'})"
    return one_line(f"{error['message']} {billed[error['billed']]} {error['next_step']} {kind}")


def one_line(text: str) -> str:
    """Text from elsewhere, unable to pass for more than it is."""
    return " ".join(text.split())


def task_answer(task: Task, *, now: float, usual: float, whole: bool = False) -> Answer:
    """A task as an object.

    Args:
        task: The task.
        now: The time.
        usual: Seconds that such a task usually takes.
        whole: Whether long texts are told to their end.
    """
    answer: Answer = {"task_id": task.id, "status": task.state, "model": task.model}
    if task.results:
        answer["media"] = [
            {
                name: value
                for name, value in (
                    ("url", each.url),
                    ("path", each.path),
                    ("mime_type", each.mime_type),
                    ("label", each.label),
                )
                if value
            }
            for each in task.results
        ]
    if task.texts:
        answer["texts"] = task.texts if whole else [cut(text, task.id) for text in task.texts]
    if task.credits is not None:
        answer["credits"] = task.credits
    elif task.estimate:
        answer["estimated_credits"] = list(task.estimate)
        answer["basis"] = task.basis
    answer["elapsed_seconds"] = round((task.finished or now) - task.created)
    if task.note:
        answer["note"] = one_line(task.note)
    if task.error:
        answer["error"] = task.error
    elif not task.final:
        answer["usual_seconds"] = round(usual)
        answer["next_step"] = "get_task with this id; do not repeat the call."
    return answer


def task_text(answer: Mapping[str, Any]) -> str:
    """The same object in words."""
    facts = [answer["model"], *filter(None, (cost(answer), answer.get("basis")))]
    seconds = f"{answer['elapsed_seconds']} s"
    facts.append(f"{seconds} of usually {answer['usual_seconds']} s" if "usual_seconds" in answer else seconds)
    lines = [f"{answer['task_id']} {answer['status']} ({', '.join(facts)})"]
    lines += _files(answer.get("media", ()))
    # Lyrics keep their lines; the mark tells them from ours.
    lines += [f"{n}.\n{indent(text, '> ', bool)}" for n, text in enumerate(answer.get("texts", ()), start=1)]
    if "error" in answer:
        lines.append(error_text(answer["error"]))
    lines += [answer[name] for name in ("note", "next_step") if name in answer]
    return "\n".join(lines)


def task_result(task: Task, *, now: float, usual: float, repeats: Order | None = None) -> CallToolResult:
    """A task, as an error when it has failed.

    Args:
        task: The task.
        now: The time.
        usual: Seconds that such a task usually takes.
        repeats: The order that is answered, if the task is of an earlier one.
    """
    answer = task_answer(task, now=now, usual=usual)
    if repeats:
        ago = max(now - task.created, 0)
        said = [f"The same call was made {ago:.0f} s ago: this is its task, and nothing more is paid."]
        if task.state not in ("unknown", "failed"):
            # Of what failed the error tells what to do.
            said.append(f"{_another(repeats)} makes another.")
        answer["note"] = " ".join(filter(None, (*said, answer.get("note"))))
    told = result(answer, task_text(answer), is_error=task.error is not None)
    told.content += links(task)
    return told


def without_links(told: CallToolResult) -> CallToolResult:
    """The answer for a client that is older than resource links: it would take none of it."""
    told.content = [block for block in told.content if not isinstance(block, ResourceLink)]
    return told


def noted(told: Made, words: str) -> Made:
    """The same answer with a word more; a question stays as it is."""
    match told:
        case CallToolResult(content=[TextContent() as text, *_], structured_content=dict(answer)):
            text.text += f"\n{words}"
            answer["note"] = " ".join(filter(None, (answer.get("note"), words)))
    return told


def links(task: Task) -> Iterator[ResourceLink]:
    """Where what a task saved can be read."""
    for number, each in enumerate(task.results, start=1):
        if each.path:
            path, size = Path(each.path), None
            with suppress(OSError):
                size = path.stat().st_size
            uri, mime_type = f"kie://tasks/{task.id}/media/{number}", each.mime_type or None
            yield ResourceLink(type="resource_link", uri=uri, name=path.name, mime_type=mime_type, size=size)


def _another(order: Order) -> str:
    return f"variation: {order.variation + 1}"


def quoted(order: Order, known: Task | None, cost: Quote, balance: float, *, now: float) -> CallToolResult:
    """What a call would cost, and what would be left."""
    answer: Answer = {"status": "quoted", "model": order.call.id, "basis": cost.basis, "balance": balance}
    text = f"{order.call.id} would cost {cost}. The balance is {balance:,.10g}"
    answer["next_step"] = "Nothing was sent. The same call without quote makes it."
    if cost.known:
        answer |= {"estimated_credits": list(cost.known), "balance_after": round(balance - cost.known[1], 2)}
        text += f", and would then be {answer['balance_after']:,.10g}"
        if answer["balance_after"] < 0:
            text += ": that is too little"
            answer["next_step"] = "Nothing was sent. Top up at https://kie.ai/billing, or choose something cheaper."
    if known:
        ago = max(now - known.created, 0)
        answer |= {"task_id": known.id, "balance_after": balance}
        answer["note"] = f"The same call was made {ago:.0f} s ago: it is task {known.id}, and costs nothing again."
        answer["next_step"] = (
            f"Nothing was sent. get_task shows the task; {_another(order)} makes another at this price."
        )
        text = f"{order.call.id} costs {cost}. The balance is {balance:,.10g}. {answer['note']}"
        return result(answer, f"{text} {answer['next_step']}")
    return result(answer, f"{text}. {answer['next_step']}")


def _files(media: Sequence[Mapping[str, str]]) -> Iterator[str]:
    places = {_place(each.get("path", ""), number) for number, each in enumerate(media, start=1)}
    together = len(places) == 1 and all(places)
    if together:
        yield f"Saved as {media[0]['path'] if len(media) == 1 else places.pop()}"
    for number, each in enumerate(media, start=1):
        path = "" if together else each.get("path", "")
        yield one_line(f"{number}. {path} {each.get('label', '')} {each.get('url', '')}")


def _place(path: str, number: int) -> str:
    """The path with its number left open: a task's files differ in nothing else."""
    head, number_and_dot, extension = path.rpartition(f"-{number}.")
    return f"{head}-<n>.{extension}" if number_and_dot else path


def cost(answer: Mapping[str, Any]) -> str:
    """What was charged, or may be, as an object tells it; empty where it does not."""
    if "credits" in answer:
        return f"{answer['credits']:,.10g} credits"
    return f"about {span(answer['estimated_credits'])} credits" if "estimated_credits" in answer else ""


def cut(text: str, id_: str, most: int = LONGEST_TEXT) -> str:
    """A text that a task made, no longer than an answer may be, and where the rest is."""
    return text if len(text) <= most else f"{text[:most]}… the rest is at kie://tasks/{id_}"


def short(text: str, most: int) -> str:
    """The beginning of a text, no longer than this."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def span(credits_: Sequence[float]) -> str:
    """`60`, or `30 to 60`."""
    low, high = credits_
    return f"{low:,.10g}" if low == high else f"{low:,.10g} to {high:,.10g}"


def progress(elapsed: float, usual: float) -> float:
    """A fraction that grows as long as one waits: nine tenths at the usual time, never 1."""
    usual = max(usual, 1)
    return 0.9 * elapsed / usual if elapsed <= usual else 1 - 0.1 * usual / elapsed


DOING = {"prepared": "starting", "submitting": "starting", "running": "generating", "succeeded": "saving the files"}


def fraction(tasks: Sequence[Task], usual: Mapping[str, float], *, now: float) -> float:
    """How far tasks are together, below 1 as long as one of them is under way.

    Args:
        tasks: Whichever are waited for.
        usual: Seconds that each usually takes, by its id.
        now: Seconds since 1970.
    """
    shares = [1 if task.done else progress(max(now - task.created, 0), usual[task.id]) for task in tasks]
    return sum(shares) / len(shares)


def sentence(tasks: Sequence[Task], usual: Mapping[str, float], *, now: float) -> str:
    """The same in words, for who waits for them."""
    open_ = [task for task in tasks if not task.done]
    done = f"{len(tasks) - len(open_)} of {len(tasks)} done"
    if not open_:
        return tasks[0].state if len(tasks) == 1 else done
    elapsed = max(now - min(task.created for task in open_), 0)
    longest = max(usual[task.id] for task in open_)
    words = DOING[tasks[0].state] if len(tasks) == 1 else done
    return f"{words}, {elapsed:.0f} s of usually about {longest:.0f} s"


def when(seconds: float) -> str:
    """A time as lists show it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
