"""Play the ten wishes in the hosts of hosts.toml, and write what came of it to docs/hosts.md.

`scripts/hosts` calls this. Arguments are names of hosts; then the results are only printed. With --install nothing is
played.
"""

import re
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from hosts import ROOT, Host, read_hosts
from stage import Played, play
from wishes import WISHES

DOCUMENT = ROOT / "docs" / "hosts.md"
BLOCK = re.compile(r"(?<=<!-- results: scripts/hosts -->\n).*?(?=<!-- /results -->)", re.DOTALL)
CHANGING = re.compile(r"\bt_[a-z0-9]{12}\b|\b[0-9a-f-]{32,36}\b|\S*/hosts-[a-z0-9_]+(?:/\S*)?")
"""What is another in each run: ids and paths."""
Row = tuple[Host, list[Played]]


def describe_form(played: Played) -> str:
    """Say which half of an answer the model gets: the text, structuredContent, or both."""
    last = played.results[-1].text if played.results else ""
    halves = {"text": r"t_\w{12} succeeded", "structure": r"task_id\\*[\"']"}
    return " and ".join(name for name, mark in halves.items() if re.search(mark, last)) or "neither"


def describe_look(played: Played) -> str:
    """Say how the model gets a picture."""
    if not played.results or (not (last := played.results[-1]).pictures and not last.base64):
        return "none"
    return "picture" if last.pictures else f"{last.base64:,} characters"


def tabulate_gets(rows: list[Row]) -> list[str]:
    """Return the table of what the model gets in each host."""
    lines = [
        "| host | package | tools | an answer | its form | `view_media` | credits |",
        "|---|---|--:|--:|---|---|--:|",
    ]
    due = sum(wish.credits for wish in WISHES)
    for host, played in rows:
        by_name = {each.wish.name: each for each in played}
        first, made = next((each.turns[0] for each in played if each.turns), None), by_name["picture"]
        cells = [
            f"[{host.title}](../{host.driver.relative_to(ROOT)})",
            f"`{host.package[0]}` {host.package[1]}",
            f"{first.tools_size:,}" if first else "-",
            f"{len(made.results[-1].text):,}" if made.results else "-",
            describe_form(made),
            describe_look(by_name["look"]),
            f"{sum(each.credits for each in played):g} of {due:g}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def tabulate_wishes(rows: list[Row]) -> list[str]:
    """Return the table of the wishes that work in each host."""
    lines = [f"| host | {' | '.join(wish.name for wish in WISHES)} |", f"|---|{':-:|' * len(WISHES)}"]
    for host, played in rows:
        marks = ("**no**" if each.wrong else "yes" for each in played)
        lines.append(f"| {host.title} | {' | '.join(marks)} |")
    return lines


def list_failures(rows: list[Row]) -> list[str]:
    """Return a line for each way in which a wish fails, with the hosts where it does."""
    hosts = defaultdict(list)
    for host, played in rows:
        for each in played:
            if each.wrong:
                reason = CHANGING.sub("…", each.wrong).replace("|", "\\|").replace("<", "&lt;")
                hosts[each.wish.name, reason].append(host.title)
    order = [wish.name for wish in WISHES]
    ways = sorted(hosts.items(), key=lambda way: (order.index(way[0][0]), way[0][1]))
    return [f"- **{name}** ({', '.join(titles)}): {reason}" for (name, reason), titles in ways]


def list_notes(rows: list[Row]) -> list[str]:
    """Return what to know of the hosts that need more than a configuration."""
    return [f"- **{host.title}**: {host.notes}" for host, _ in rows if host.notes]


def main(*arguments: str) -> int:
    """Install the hosts, play the wishes in three hosts at a time, write the document; fail if one is not installed."""
    names = [each for each in arguments if not each.startswith("-")]
    hosts = read_hosts(names)
    for missing in filter(None, [host.install() for host in hosts]):
        sys.stderr.write(f"{missing}\n")
    ready = [host for host in hosts if host.installed]
    if "--install" in arguments:
        return 0 if ready == hosts else 77
    rows: list[Row] = []
    with ThreadPoolExecutor(3) as at_once:
        for host, played in zip(ready, at_once.map(play, ready), strict=True):
            rows.append((host, played))
            for each in played:
                sys.stdout.write(f"{host.name:20} {each.wish.name:10} {each.credits:6g} {each.wrong or 'ok'}\n")
    if not names and ready == hosts:
        tables = [tabulate_gets(rows), tabulate_wishes(rows), list_failures(rows), list_notes(rows)]
        block = "\n\n".join("\n".join(lines) for lines in tables)
        text = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(BLOCK.sub(lambda _: f"\n{block}\n\n", text), encoding="utf-8")
    return 0 if ready == hosts else 77


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
