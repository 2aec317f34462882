"""What the README and its fellows claim, held against the program."""

import json
import re
import shlex
from pathlib import Path

import pytest
from pydantic import AliasChoices
from support.paths import ROOT
from typer.testing import CliRunner

from kie_mcp import __version__, errors
from kie_mcp.cli.commands import cli
from kie_mcp.config import Settings
from kie_mcp.kie import codes
from kie_mcp.server import elicitation, health


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


README = read("README.md")
DOCUMENTS = (
    README,
    read("CONTRIBUTING.md"),
    *(read(f"docs/{name}.md") for name in ("hosts", "http", "sandbox", "tools")),
)
SHELL = [
    line
    for document in DOCUMENTS
    for block in re.findall(r"```sh\n(.*?)```", document, re.DOTALL)
    for line in block.splitlines()
]
MAX_LINES = 250
"""Lines of the README, so that it is read in five minutes."""


def variables(name: str) -> list[str]:
    match Settings.model_fields[name].validation_alias:
        case AliasChoices(choices=choices):
            return [str(choice) for choice in choices]
        case str() as alias:
            return [alias]
        case _:
            return [f"KIE_MCP_{name.upper()}"]


def test_the_settings_table_names_every_setting_and_its_default() -> None:
    rows = dict(re.findall(r"^\| `(KIE_\w+)` \| ([^|]*)\|", read("docs/settings.md"), re.MULTILINE))
    assert set(rows) == {variable for name in Settings.model_fields for variable in variables(name)}
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, (str, int, float)) and field.default != "":
            default = int(field.default) if isinstance(field.default, bool) else field.default
            assert [rows[variable].strip() for variable in variables(name)] == [f"`{default}`"]


def test_the_messages_that_the_readme_explains_are_those_that_users_see(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigurationError) as keyless:
        _ = settings.model_copy(update={"api_key": None, "sandbox": False, "data_dir": tmp_path}).key
    explained = README.partition("| what you see |")[2].partition("\n\n")[0]
    for message in (str(keyless.value), str(codes.error(401, "You do not have access permissions"))):
        assert any(message.startswith(quoted) for quoted in re.findall(r'^\| "([^"]+)"', explained, re.MULTILINE)), (
            message
        )


def test_the_table_of_errors_names_every_category() -> None:
    # Two are raised by the server alone.
    table = read("docs/money.md")
    assert elicitation.Declined.category in table
    assert health.Unhealthy.category in table
    kinds = [errors.KieMcpError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    shown = re.findall(r"^\| `([a-z_]+)` \|.*\| (?:no|yes|perhaps|`billed`.*) \|$", table, re.MULTILINE)
    assert sorted(shown) == sorted({kind.category for kind in kinds})


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= MAX_LINES


@pytest.mark.parametrize("line", sorted({line for line in SHELL if "kie-mcp " in line and "claude" not in line}))
def test_commands_in_the_documents_exist(line: str) -> None:
    _, _, arguments = line.partition("kie-mcp ")
    result = CliRunner().invoke(cli, [*shlex.split(arguments, comments=True), "--help"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("line", [line for line in SHELL if line.startswith("scripts/")])
def test_scripts_in_the_documents_exist_and_run(line: str) -> None:
    script = ROOT / line.split(maxsplit=1)[0]
    assert script.stat().st_mode & 0o111
    assert script.read_text(encoding="utf-8").startswith("#!/bin/sh\n")


def test_the_example_of_a_configuration_is_the_readme_s() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    assert json.loads(read("claude_desktop_config.example.json")) == json.loads(block)


def test_links_within_the_readme_lead_somewhere() -> None:
    headings = {re.sub(r"[^a-z -]", "", line.lower()).strip().replace(" ", "-") for line in README.splitlines()}
    assert set(re.findall(r"\]\(#([\w-]+)\)", README)) <= headings


def test_the_changelog_tells_of_this_version() -> None:
    assert f"## [{__version__}]" in read("CHANGELOG.md")
