"""The commands, run as a person runs them."""

from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult
from support.commands import environment, run_command, serve_and_record, serve_command
from support.preloaded import preloaded_parameters
from support.runners import saved_files

from kie_mcp import __version__
from kie_mcp.kie.routes import JOBS
from kie_mcp.server.selection import Selection
from kie_mcp.server.tools.tool_list import count_tokens

SHOWN = len(Selection().tools)


async def draw(client: Client) -> CallToolResult:
    return await client.call_tool("nano_banana_image", {"prompt": "a red fox"})


def test_help_shows_every_command() -> None:
    run = run_command("--help")
    assert run.returncode == 0
    assert run.stderr == ""
    for word in ("serve", "sandbox", "demo", "tools", "KIE_API_KEY", "KIE_MCP_SANDBOX=1"):
        assert word in run.stdout


def test_version_is_the_package_s() -> None:
    assert run_command("--version").stdout == f"kie-mcp {__version__}\n"


@pytest.mark.anyio
@pytest.mark.parametrize("arguments", [(), ("serve",)])
async def test_stdio_is_served_with_and_without_a_command(arguments: tuple[str, ...], tmp_path: Path) -> None:
    settings = {
        "KIE_MCP_SANDBOX": "1",
        "KIE_MCP_SANDBOX_SECONDS": "0.1",
        "KIE_MCP_DATA_DIR": str(tmp_path / "data"),
        "KIE_MCP_OUTPUT_DIR": str(tmp_path / "out"),
    }
    async with Client(preloaded_parameters(environment(**settings), *arguments, cwd=tmp_path)) as client:
        assert len((await client.list_tools()).tools) == SHOWN
        made = await draw(client)
    assert made.structured_content
    assert made.structured_content["status"] == "succeeded"
    assert len(saved_files(tmp_path / "out")) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("arguments", "setting", "shown"),
    [
        ((), "compact", "compact"),
        (("--tools", "all"), "compact", "all"),
        (("serve",), "image", "image"),
        (("--tools", "nano_banana_image", "serve"), "all", "nano_banana_image"),
        (("--tools", "all", "serve", "--tools", "video,audio"), "compact", "video,audio"),
    ],
)
async def test_the_choice_of_tools_that_is_nearest_to_the_command_counts(
    arguments: tuple[str, ...], setting: str, shown: str
) -> None:
    settings = environment(KIE_MCP_TOOLS=setting)
    async with Client(preloaded_parameters(settings, *arguments)) as client:
        listed = [tool.name for tool in (await client.list_tools()).tools]
    assert listed == [tool["name"] for tool in Selection(shown).tools]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("arguments", "setting", "prefix"),
    [
        ((), "kie", "kie_"),
        (("--prefix", "make"), "kie", "make_"),
        (("--prefix", "make", "serve"), "kie", "make_"),
        (("serve", "--prefix", "make"), "kie", "make_"),
        (("serve",), "", ""),
    ],
)
async def test_the_prefix_that_is_nearest_to_the_command_counts(
    arguments: tuple[str, ...], setting: str, prefix: str
) -> None:
    settings = environment(KIE_MCP_PREFIX=setting)
    async with Client(preloaded_parameters(settings, *arguments)) as client:
        listed = [tool.name for tool in (await client.list_tools()).tools]
    assert listed == [prefix + tool["name"] for tool in Selection().tools]


@pytest.mark.anyio
async def test_the_choice_of_tools_holds_over_http() -> None:
    with serve_command("serve", "--http", "--no-token", "--port", "0", "--tools", "compact") as url:
        async with Client(url) as client:
            assert len((await client.list_tools()).tools) == len(Selection("compact").tools)


@pytest.mark.parametrize(
    ("arguments", "setting"),
    [
        (("serve", "--http", "--tools", "veo_vido"), ""),
        (("demo", "--tools", "veo_vido"), ""),
        (("tools", "--tools", "veo_vido"), ""),
    ],
)
def test_a_tool_that_does_not_exist_ends_the_start_with_the_nearest(
    arguments: tuple[str, ...], setting: str, tmp_path: Path
) -> None:
    run = run_command(*arguments, KIE_MCP_TOOLS=setting, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (2, "")
    assert "no tool, 'veo_vido'" in run.stderr
    assert "veo_video" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("option", [("--port", "1"), ("--workers", "2"), ("--log-format", "json"), ("--no-token",)])
def test_an_option_for_http_is_refused_on_stdio(option: tuple[str, ...], tmp_path: Path) -> None:
    run = run_command("serve", *option, cwd=tmp_path)
    assert run.returncode == 2
    assert "Add --http." in run.stderr


def test_the_tools_are_told_with_what_they_take() -> None:
    run = run_command("tools", "--tools", "suno_music")
    assert run.returncode == 0
    for tool in Selection("suno_music").tools:
        assert f"  {tool['name']} " in run.stdout
    assert "Write and sing" in run.stdout
    assert "kling_video" not in run.stdout


@pytest.mark.parametrize("shows", [(), ("--tokens",)])
def test_the_tools_have_the_names_that_a_client_sees(shows: tuple[str, ...]) -> None:
    for ran in (run_command("tools", *shows, KIE_MCP_PREFIX="kie"), run_command("tools", *shows, "--prefix", "kie")):
        assert "  kie_get_task " in ran.stdout
        assert "  get_task " not in ran.stdout


def test_the_sizes_are_told_tool_by_tool_against_what_they_may_take() -> None:
    every = run_command("tools", "--tokens").stdout
    lines = {line.split()[0]: line.split()[1:] for line in every.splitlines() if line.strip()}
    assert lines["tokens"] == ["standard", "compact", "all"]
    assert {tool["name"] for tool in Selection("all").tools} < set(lines)
    assert len(lines["get_task"]) == 3
    assert len(lines["kling_video"]) == 2
    totals = [int(total.replace(",", "")) for total in lines["total"]]
    assert totals == [round(sum(map(count_tokens, Selection(size).tools))) for size in lines["tokens"]]
    assert lines["at"] == ["most", "9,500", "2,400", "19,500"]
    one = run_command("tools", "--tokens", "--tools", "image").stdout
    assert "at most" in one
    assert "kling_video" not in one


@pytest.mark.anyio
async def test_a_server_over_http_draws_with_a_sandbox_on_a_port(tmp_path: Path) -> None:
    with serve_command("sandbox", "--port", "0", "--seconds", "0.1", KIE_MCP_DATA_DIR=str(tmp_path)) as sandbox:
        settings = {
            "KIE_API_KEY": "sandbox",
            "KIE_MCP_BASE_URL": sandbox,
            "KIE_MCP_UPLOAD_URL": sandbox,
            "KIE_MCP_WAIT_SECONDS": "40",
            "KIE_MCP_DATA_DIR": str(tmp_path / "data"),
            "KIE_MCP_OUTPUT_DIR": str(tmp_path / "out"),
        }
        with serve_command("serve", "--http", "--no-token", "--port", "0", **settings) as url:
            async with Client(url) as client:
                made = await draw(client)
    assert made.structured_content
    assert made.structured_content["status"] == "succeeded"
    assert len(saved_files(tmp_path / "out")) == 1


@pytest.mark.anyio
async def test_callers_over_http_reach_no_local_files(tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n")
    settings = {"KIE_MCP_SANDBOX": "1", "KIE_MCP_DATA_DIR": str(tmp_path), "KIE_MCP_READ_DIRS": str(tmp_path)}
    with serve_command("serve", "--http", "--no-token", "--port", "0", **settings) as url:
        async with Client(url) as client:
            refused = await client.call_tool("upload_file", {"path": str(picture)})
    assert refused.is_error


def test_http_asks_for_the_token() -> None:
    with serve_command("serve", "--http", "--port", "0", KIE_MCP_HTTP_TOKEN="a-token") as url:
        assert httpx2.post(url, timeout=60).status_code == 401
        assert httpx2.post(url, headers={"Authorization": "Bearer a-token"}).status_code != 401


@pytest.mark.anyio
async def test_http_without_a_token_makes_one_and_says_how_to_use_it(tmp_path: Path) -> None:
    settings = {"KIE_MCP_SANDBOX": "1", "KIE_MCP_DATA_DIR": str(tmp_path / "data")}
    told: list[str] = []
    tokens: list[str] = []
    for _ in range(2):
        with serve_and_record(told, "serve", "--http", "--port", "0", **settings) as url:
            assert httpx2.post(url, timeout=60).status_code == 401
            tokens.append((tmp_path / "data" / "http-token").read_text(encoding="utf-8"))
            headers = {"Authorization": f"Bearer {tokens[-1]}"}
            async with (
                httpx2.AsyncClient(headers=headers, timeout=60) as http,
                Client(streamable_http_client(url, http_client=http)) as client,
            ):
                assert (await client.call_tool("get_credits")).structured_content
    said = "".join(told)
    assert str(tmp_path / "data" / "http-token") in said
    assert "Authorization: Bearer" in said
    assert "claude mcp add --transport http kie http://127.0.0.1:" in said
    assert "\n\n" not in said
    assert tokens[0] == tokens[1]
    # Logs of services can be read by others.
    assert tokens[0] not in said


def test_http_without_a_token_on_purpose_says_who_can_call_it(tmp_path: Path) -> None:
    told: list[str] = []
    settings = {"KIE_MCP_SANDBOX": "1", "KIE_MCP_DATA_DIR": str(tmp_path / "data")}
    with serve_and_record(told, "serve", "--http", "--no-token", "--port", "0", **settings) as url:
        assert httpx2.post(url, timeout=60).status_code != 401
    assert "every user of this machine" in told[0]
    assert not (tmp_path / "data" / "http-token").exists()


@pytest.mark.parametrize(
    ("arguments", "token"), [(("--no-token",), ""), (("--no-token",), "a long random text"), ((), "short")]
)
def test_an_open_address_without_a_good_token_is_refused_in_words(
    arguments: tuple[str, ...], token: str, tmp_path: Path
) -> None:
    command = ("serve", "--http", "--host", "0.0.0.0", *arguments)
    run = run_command(*command, KIE_MCP_HTTP_TOKEN=token, KIE_MCP_DATA_DIR=str(tmp_path))
    assert run.returncode == 2
    assert "KIE_MCP_HTTP_TOKEN" in run.stderr
    assert "Traceback" not in run.stderr
    assert "Serving" not in run.stderr


def test_a_wrong_setting_is_named() -> None:
    run = run_command("serve", "--http", KIE_MCP_WAIT_SECONDS="soon")
    assert run.returncode == 2
    assert "KIE_MCP_WAIT_SECONDS" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_sandbox_on_a_port_keeps_its_tasks_over_restarts(tmp_path: Path) -> None:
    key, settings = {"Authorization": "Bearer sandbox"}, {"KIE_MCP_DATA_DIR": str(tmp_path)}
    picture = {"model": "google/nano-banana", "input": {"prompt": "rain"}}
    old = {"model": "sora-2-text-to-video", "input": {"prompt": "rain"}}
    with serve_command("sandbox", "--port", "0", KIE_MCP_SANDBOX_CREDITS="5", **settings) as url:
        answers = [
            httpx2.post(f"{url}{JOBS.create}", headers=key, json=body).json() for body in (picture, picture, old)
        ]
    assert [answer["code"] for answer in answers] == [200, 402, 422]
    with serve_command("sandbox", "--port", "0", "--credits", "900", "--legacy", **settings) as url:
        assert httpx2.post(f"{url}{JOBS.create}", headers=key, json=old).json()["code"] == 200
        task = answers[0]["data"]["taskId"]
        assert httpx2.get(f"{url}{JOBS.status}", headers=key, params={"taskId": task}).json()["data"]["taskId"] == task
        accepted = httpx2.get(f"{url}/sandbox/accepted").json()["data"]
        balance = httpx2.get(f"{url}/api/v1/chat/credit", headers=key).json()["data"]
    assert balance == 900 - sum(each["credits"] for each in accepted)
    assert len(accepted) == 2


def test_a_sandbox_without_a_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = run_command("sandbox", "--port", "0", KIE_MCP_DATA_DIR=str(tmp_path / "file"))
    assert run.returncode == 2
    assert "KIE_MCP_DATA_DIR" in run.stderr
    assert "Traceback" not in run.stderr


def test_the_sandbox_says_how_to_use_it_at_an_address_of_version_6_too(tmp_path: Path) -> None:
    with serve_command("sandbox", "--host", "::1", "--port", "0", KIE_MCP_DATA_DIR=str(tmp_path)) as url:
        assert url.startswith("http://[::1]:")
        balance = httpx2.get(f"{url}/api/v1/chat/credit", headers={"Authorization": "Bearer sandbox"}).json()
    assert balance["data"] == 1000
