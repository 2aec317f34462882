"""Test if the right tool is chosen: `python -m evals ranking`, or `python -m evals model --url … --name …`.

If the model's API needs a key, the key is read from the variable EVALS_KEY. No tool runs, and nothing is paid to KIE.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from evals.asking import Model, Verdict, judge_situation, judge_wish, open_client, write_report
from evals.data import read_situations, read_wishes
from evals.ranking import FIRST, rank
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.selection import Selection

GOAL = 57
"""Smallest allowed number of wishes for which a right tool is among the first `FIRST` search results."""


def rank_tools(tools: list[dict[str, Any]]) -> int:
    """Print for how many wishes a search finds a right tool; return 1 if the number is below `GOAL`."""
    wishes = read_wishes()
    missed = rank(wishes, tools)
    for wish, found in missed:
        print(
            f"{wish.search or wish.say}\n    wanted {', '.join(sorted(wish.tools))}; found {', '.join(found) or 'none'}"
        )
    right = len(wishes) - len(missed)
    print(f"A right tool is among the first {FIRST} for {right} of {len(wishes)} wishes; the goal is {GOAL}.")
    return int(right < GOAL)


def ask_model(options: argparse.Namespace, tools: list[dict[str, Any]]) -> int:
    """Ask a model for its calls, and print or write the report; return 1 if a question was not answered."""
    instructions = build_server(App(selection=Selection(options.tools))).instructions or ""
    with open_client(os.environ.get("EVALS_KEY", "")) as client:
        model = Model(options.url, options.name, options.api, client, instructions, tools)
        verdicts: list[Verdict] = []
        try:
            for wish in read_wishes():
                verdicts += [judge_wish(model, wish)]
            for situation in read_situations():
                verdicts += [judge_situation(model, situation)]
        finally:
            # The answers so far may have been paid for.
            report = write_report(model, verdicts)
            print(report)
            if options.write:
                options.write.write_text(report, encoding="utf-8")
    return int(any(each.verdict == "no answer" for each in verdicts))


def main(arguments: list[str] | None = None) -> int:
    """Run one of the two scorers; if `arguments` is None, use the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="python -m evals", description=__doc__)
    parser.add_argument("scorer", choices=["ranking", "model"])
    parser.add_argument("--tools", default="standard", help="size of the tool list")
    parser.add_argument("--url", help="address of the model's API with its version, such as http://127.0.0.1:11434/v1")
    parser.add_argument("--api", choices=["openai", "anthropic"], default="openai")
    parser.add_argument("--name", help="the model's name there")
    parser.add_argument("--write", type=Path, help="file to write the report to")
    options = parser.parse_args(arguments)
    tools = Selection(options.tools).tools
    if options.scorer == "ranking":
        return rank_tools(tools)
    if not (options.url and options.name):
        parser.error("a model needs --url and --name")
    return ask_model(options, tools)


if __name__ == "__main__":
    sys.exit(main())
