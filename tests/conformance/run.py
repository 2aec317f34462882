"""Run the official conformance suite against the server of serve.py; write the results to docs/conformance.md.

`scripts/conformance` calls this with Node 22 and the suites installed. With --check it only compares the document.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import inspector

HERE = Path(__file__).parent
DOCUMENT = HERE.parent.parent / "docs" / "conformance.md"
COMMAND = "scripts/conformance"
BLOCK = re.compile(rf"(?<=<!-- results: {COMMAND} -->\n).*?(?=<!-- /results -->)", re.DOTALL)
ENTRY = re.compile(r"^  - (?P<name>\S+)  # (?P<reason>.+)$", re.MULTILINE)
SECONDS = 300


@dataclass(frozen=True)
class Run:
    """One suite at one revision of the protocol."""

    suite: str
    """The suite's folder in node_modules."""
    revision: str
    options: tuple[str, ...] = ()

    @property
    def expected(self) -> Path:
        """The file that lists the scenarios known to fail."""
        return HERE / f"expected-failures-{self.revision}.yml"


RUNS = (
    Run("conformance-alpha", "2026-07-28", ("--requirements", "2026-07-28")),
    Run("conformance-alpha", "2025-11-25", ("--requirements", "2025-11-25")),
    Run("conformance", "2025-11-25"),
)


def reasons(expected: Path) -> dict[str, str]:
    """Return the scenarios that are known to fail, each with its reason."""
    return {entry["name"]: entry["reason"] for entry in ENTRY.finditer(expected.read_text(encoding="utf-8"))}


@contextmanager
def serve_profiles(folder: Path, count: int) -> Iterator[list[str]]:
    """Run serve.py and give the URLs of so many servers."""
    command = [sys.executable, str(HERE / "serve.py"), *(str(folder / str(number)) for number in range(count))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as servers:
        try:
            assert servers.stdout
            yield [servers.stdout.readline().strip() for _ in range(count)]
        finally:
            servers.terminate()


@dataclass(frozen=True)
class Result:
    """The result of a run."""

    run: Run
    version: str
    """The suite's version."""
    scenarios: int
    checks: Counter[str]
    """The number of checks by status."""
    wrong: str
    """What is not as expected; empty when everything is."""


def run(each: Run, node: Path, url: str) -> Result:
    """Run a suite against the server at a URL; return the result."""
    package = node / "node_modules" / each.suite
    program = [str(node / "node_modules" / ".bin" / "node"), str(package / "dist" / "index.js"), "server"]
    with tempfile.TemporaryDirectory() as folder:
        options = ["--url", url, "--output-dir", folder, "--expected-failures", str(each.expected), *each.options]
        ran = subprocess.run([*program, *options], capture_output=True, text=True, timeout=SECONDS, check=False)
        scenarios = [json.loads(checks.read_text(encoding="utf-8")) for checks in Path(folder).glob("*/checks.json")]
    count = Counter(check["status"] for checks in scenarios for check in checks)
    version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    wrong = ran.stdout.rpartition("=== SUMMARY ===")[2] + ran.stderr if ran.returncode else ""
    return Result(each, version, len(scenarios), count, wrong)


def table(results: list[Result]) -> str:
    """Return the results as a Markdown table with the known failures."""
    lines = [
        "| protocol | suite | scenarios | checks passed | failed, as expected | skipped |",
        "|---|---|---|---|---|---|",
    ]
    for each in results:
        checks = (each.checks[status] for status in ("SUCCESS", "FAILURE", "SKIPPED"))
        lines.append(f"| {' | '.join(map(str, (each.run.revision, each.version, each.scenarios, *checks)))} |")
    for revision in dict.fromkeys(each.revision for each in RUNS):
        lines += ["", f"Known to fail at {revision}:", ""]
        known = reasons(HERE / f"expected-failures-{revision}.yml")
        lines += [f"- `{name}`: {reason}" for name, reason in known.items()]
    return "\n".join(lines) + "\n"


def main(node: str, *options: str) -> int:
    """Run all suites at once, as each mostly waits. With --check, compare the document instead of writing it."""
    modules = Path(node).absolute()
    with (
        tempfile.TemporaryDirectory() as scratch,
        serve_profiles(Path(scratch), len(RUNS) + 1) as (for_inspector, *urls),
        ThreadPoolExecutor() as at_once,
    ):
        shown = at_once.submit(inspector.show, modules / "node_modules", for_inspector)
        results = list(at_once.map(lambda each, url: run(each, modules, url), RUNS, urls))
    wrong = [
        f"{each.wrong}\n{each.version} at {each.run.revision} is not as expected." for each in results if each.wrong
    ]
    if shown.result():
        wrong.append(f"{shown.result()}\nThe MCP Inspector does not show the gallery.")
    if wrong:
        sys.stderr.write("\n".join([*wrong, ""]))
        return 1
    block = table(results)
    sys.stdout.write(block)
    document = DOCUMENT.read_text(encoding="utf-8")
    written = BLOCK.sub(lambda _: f"\n{block}\n", document)
    if "--check" not in options:
        DOCUMENT.write_text(written, encoding="utf-8")
    elif written != document:
        sys.stderr.write(f"{DOCUMENT.name} is stale: run {COMMAND}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
