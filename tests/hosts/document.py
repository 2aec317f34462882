"""Play ten wishes in the hosts of hosts.toml, and write what came of it to docs/hosts.md; scripts/hosts calls it."""

import json
import re
import sys
from argparse import ArgumentParser
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hosts import ROOT, Host, read_hosts
from stage import Played, play
from wishes import TASK, WISHES

DOCUMENT = ROOT / "docs" / "hosts.md"
BLOCK = re.compile(r"(?<=<!-- results: scripts/hosts -->\n).*?(?=<!-- /results -->)", re.DOTALL)
CHANGING = re.compile(rf"{TASK.pattern}|\b[0-9a-f-]{{32,36}}\b|\S*/hosts-[a-z0-9_]+(?:/\S*)?")
"""What is another in each run: ids and paths."""
TOLD_WHOLE = ("the agent ends", "no result", "no picture")
"""Reasons that another text makes another reason."""
Outcome = dict[str, Any]
"""What came of a host, as JSON."""


def describe_form(played: Played) -> str:
    """Say which half of an answer the model gets: the text, structuredContent, or both."""
    last = played.results[-1].text if played.results else ""
    halves = {"text": rf"{TASK.pattern} \S+ succeeded", "structure": r"task_id\\*[\"']"}
    return " and ".join(name for name, mark in halves.items() if re.search(mark, last)) or "neither"


def describe_look(played: Played) -> str:
    """Say how the model gets a picture."""
    if not played.results or (not (last := played.results[-1]).pictures and not last.base64):
        return "none"
    return "picture" if last.pictures else f"{last.base64:,} characters"


def measure(played: list[Played]) -> Outcome:
    """Return what the document tells of a host."""
    by_name = {each.wish.name: each for each in played}
    made = by_name["picture"]
    return {
        "tools": max((turn.tools_size for each in played for turn in each.turns[:1]), default=0),
        "answer": len(made.results[-1].text) if made.results else 0,
        "form": describe_form(made),
        "look": describe_look(by_name["look"]),
        "wishes": {name: {"credits": each.credits, "wrong": each.wrong} for name, each in by_name.items()},
    }


def tabulate_gets(outcomes: dict[Host, Outcome]) -> list[str]:
    """Return the table of what the model gets in each host."""
    lines = [
        "| host | package | tools | an answer | its form | `view_media` | credits |",
        "|---|---|--:|--:|---|---|--:|",
    ]
    due = sum(wish.credits for wish in WISHES)
    for host, outcome in outcomes.items():
        cells = [
            f"[{host.title}](../{host.driver.relative_to(ROOT)})",
            f"`{host.package[0]}` {host.package[1]}",
            f"{outcome['tools']:,}",
            f"{outcome['answer']:,}" if outcome["answer"] else "-",
            outcome["form"],
            outcome["look"],
            f"{sum(each['credits'] for each in outcome['wishes'].values()):g} of {due:g}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def tabulate_wishes(outcomes: dict[Host, Outcome]) -> list[str]:
    """Return the table of the wishes that work in each host."""
    lines = [f"| host | {' | '.join(wish.name for wish in WISHES)} |", f"|---|{':-:|' * len(WISHES)}"]
    for host, outcome in outcomes.items():
        marks = ("**no**" if outcome["wishes"][wish.name]["wrong"] else "yes" for wish in WISHES)
        lines.append(f"| {host.title} | {' | '.join(marks)} |")
    return lines


def list_failures(outcomes: dict[Host, Outcome]) -> list[str]:
    """Return a line for each way in which wishes fail: the wishes, the hosts, and the shortest reason that was seen."""
    seen: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for wish in WISHES:
        for host, outcome in outcomes.items():
            if reason := CHANGING.sub("…", outcome["wishes"][wish.name]["wrong"]):
                whole = any(each in reason for each in TOLD_WHOLE)
                seen[wish.name, reason if whole else reason.partition(":")[0]][host.title] = reason
    wishes = defaultdict(list)
    for (wish_name, _), reasons in seen.items():
        titles = "all hosts" if len(reasons) == len(outcomes) else "; ".join(reasons)
        wishes[titles, min(reasons.values(), key=len)].append(wish_name)
    return [f"- **{', '.join(names)}** in {titles}: {escape(reason)}" for (titles, reason), names in wishes.items()]


def escape(text: str) -> str:
    """Return a text as Markdown shows it."""
    return text.replace("<", "&lt;").replace("*", "\\*").replace("[", "\\[")


def write_document(outcomes: dict[Host, Outcome]) -> None:
    """Write what came of the hosts between the marks of the document."""
    notes = [f"- **{host.title}**: {host.notes}" for host in outcomes if host.notes]
    parts = [tabulate_gets(outcomes), tabulate_wishes(outcomes), ["What fails:"], list_failures(outcomes)]
    block = "\n\n".join("\n".join(lines) for lines in [*parts, ["What to know:"], notes])
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(BLOCK.sub(lambda _: f"\n{block}\n\n", text), encoding="utf-8")


def main(*arguments: str) -> int:
    """Install the hosts, play the wishes in three hosts at a time, write the document; fail if one is not installed."""
    parser = ArgumentParser(prog="scripts/hosts", description=__doc__)
    parser.add_argument("hosts", nargs="*", help="names in hosts.toml; what was kept of others stands (default: all)")
    parser.add_argument("--install", action="store_true", help="only install the hosts")
    given = parser.parse_args(arguments)
    hosts = read_hosts(given.hosts)
    with ThreadPoolExecutor(3) as at_once:
        for missing in filter(None, at_once.map(Host.install, hosts)):
            sys.stderr.write(f"{missing}\n")
    ready = [host for host in hosts if host.installed]
    if given.install:
        return 0 if ready == hosts else 77
    with ThreadPoolExecutor(3) as at_once:
        for host, played in zip(ready, at_once.map(play, ready), strict=True):
            host.outcome.write_text(json.dumps(measure(played)), encoding="utf-8")
            for each in played:
                sys.stdout.write(f"{host.name:20} {each.wish.name:10} {each.credits:6g} {each.wrong or 'ok'}\n")
    kept = {host: json.loads(host.outcome.read_text("utf-8")) for host in read_hosts() if host.outcome.is_file()}
    write_document(kept)
    return 0 if ready == hosts else 77


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
