"""Every promise of the documents, held against the list of tests in requirements.toml."""

import ast
import re
import tomllib
from functools import cache
from typing import Any

import pytest
from support.paths import ROOT

REQUIREMENTS: dict[str, Any] = tomllib.loads((ROOT / "tests" / "requirements.toml").read_text(encoding="utf-8"))
PROMISES: list[dict[str, Any]] = REQUIREMENTS["promise"]
NOTES: list[dict[str, Any]] = REQUIREMENTS["note"]
SECURITY = "docs/security.md", "Security"
DOCUMENT = ROOT / "docs" / "reliability.md"
COMMAND = "pytest tests/test_requirements.py --write-reliability"
START, END = f"<!-- security: {COMMAND} -->\n", "<!-- /security -->\n"
SECTIONS = [(document, heading) for document, headings in REQUIREMENTS["sections"].items() for heading in headings]


@cache
def section(document: str, heading: str) -> tuple[str, ...]:
    """Return the paragraphs and list items under a heading, each on one line, without tables, code and comments."""
    text = (ROOT / document).read_text(encoding="utf-8")
    (body,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.DOTALL | re.MULTILINE)
    body = re.sub(r"```.*?```|^\|.*?$|<!--.*?-->", "", body, flags=re.DOTALL | re.MULTILINE)
    return tuple(" ".join(part.split()) for part in re.split(r"\n\n|^- ", body, flags=re.MULTILINE) if part.strip())


@cache
def functions_in(path: str) -> frozenset[str]:
    """Return the names of the test functions in a file, which is not run for that."""
    file = ROOT / path
    tree = ast.parse(file.read_text(encoding="utf-8")) if file.is_file() else ast.Module([], [])
    functions = (node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(name for name in functions if name.startswith("test_"))


def test_a_promise_has_tests_and_all_of_them_exist() -> None:
    for promise in PROMISES:
        assert promise["tests"], f"No test is named for: {promise['text']}"
        nodes = [node.split("::") for node in promise["tests"]]
        missing = [f"{path}::{name}" for path, name in nodes if name not in functions_in(path)]
        assert missing == [], promise["id"]


def test_an_entry_stands_in_its_document_word_for_word() -> None:
    for entry in PROMISES + NOTES:
        document = entry["document"]
        parts = [part for place, heading in SECTIONS if place == document for part in section(place, heading)]
        assert any(entry["text"] in part for part in parts), f"{document} does not say: {entry['text']}"


@pytest.mark.parametrize(("document", "heading"), SECTIONS)
def test_every_sentence_is_a_promise_with_tests_or_a_note(document: str, heading: str) -> None:
    texts = sorted((each["text"] for each in PROMISES + NOTES if each["document"] == document), key=len, reverse=True)
    for part in section(document, heading):
        # A bold beginning is the heading of its paragraph.
        left = re.sub(r"^\*\*[^*]+\*\*", "", part)
        for text in texts:
            left = left.replace(text, "")
        assert not left.strip(), f"Add this to tests/requirements.toml, with the tests that hold it: {left.strip()}"


def test_an_id_is_given_once() -> None:
    ids = [promise["id"] for promise in PROMISES]
    assert len(set(ids)) == len(ids)


def list_security_promises() -> str:
    """Return a table of the sentences of docs/security.md, in their order, with their tests."""
    body = " ".join(section(*SECURITY))
    promises = [each for each in PROMISES if each["document"] == SECURITY[0] and each["text"] in body]
    rows = ["| promise | held by |", "|---|---|"]
    for promise in sorted(promises, key=lambda promise: body.index(promise["text"])):
        nodes = [node.split("::") for node in promise["tests"]]
        tests = "<br>".join(f"[`{name}`](../{path})" for path, name in nodes)
        rows.append(f"| {promise['text']} | {tests} |")
    return "\n".join(rows) + "\n"


def test_the_list_of_security_promises_is_up_to_date(request: pytest.FixtureRequest) -> None:
    document, table = DOCUMENT.read_text(encoding="utf-8"), list_security_promises()
    before, _, rest = document.partition(START)
    if request.config.getoption("write_reliability"):
        DOCUMENT.write_text(before + START + table + END + rest.partition(END)[2], encoding="utf-8")
    else:
        assert rest.partition(END)[0] == table, f"{DOCUMENT.name} is stale: run {COMMAND}"
