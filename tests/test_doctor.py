"""`kie-mcp doctor`, run as a person runs it, in a home folder of its own."""

import contextlib
import json
import os
import re
import shlex
import sqlite3
import sys
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, ClassVar

import anyio
import pytest
from anyio import to_thread
from support.commands import run_command, serve_command
from support.fake_kie import KEY
from support.ledgers import find_database, find_url, open_ledger, task
from support.programs import needs_ffmpeg
from support.s3_server import BUCKET, needs_s3, run_s3_server
from typer.testing import CliRunner

from kie_mcp import __version__
from kie_mcp.cli.commands import cli
from kie_mcp.config import Settings
from kie_mcp.doctor.account import check_kie
from kie_mcp.ledger.inspection import NEWEST_VERSION, Inspection, inspect_ledger
from kie_mcp.ledger.ledger import Ledger

TOKEN = "a-long-token-of-random-letters"
PASSWORD = "pass-of-the-proxy"
NOWHERE = "http://127.0.0.1:9"
NO_PROXIES = {"http_proxy": "", "https_proxy": "", "all_proxy": ""}
SANDBOX = {"KIE_MCP_SANDBOX": "1"}
unix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions.")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def place(home: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Return settings for a home folder without a proxy, in which neither the output nor the ledger exists."""
    places = {
        "HOME": str(home),
        "XDG_DATA_HOME": "",
        "XDG_CONFIG_HOME": "",
        "KIE_MCP_DATA_DIR": str(home / "data"),
        "KIE_MCP_OUTPUT_DIR": str(home / "out"),
    }
    return places | NO_PROXIES | dict(settings)


def run_doctor(home: Path, *arguments: str, **settings: str) -> CompletedProcess[str]:
    """Run the doctor as a process of its own."""
    return run_command("doctor", "--no-update", *arguments, cwd=home, **place(home, settings))


def examine(home: Path, *, ends_with: int = 0, **settings: str) -> dict[str, dict[str, Any]]:
    """Return the doctor's findings by name; without a key, it examines the sandbox, which works."""
    chosen = settings if "KIE_API_KEY" in settings else SANDBOX | settings
    unset = {name: None for name in os.environ if name.startswith("KIE_")}
    with contextlib.chdir(home):
        run = CliRunner().invoke(cli, ["doctor", "--json", "--no-update"], env={**unset, **place(home, chosen)})
    assert (run.exit_code, run.stderr) == (ends_with, "")
    report = json.loads(run.stdout)
    assert report["works"] is (ends_with == 0)
    findings = {each["name"]: each for each in report["findings"]}
    assert len(findings) == len(report["findings"])
    for each in findings.values():
        assert each["text"]
        assert each["status"] == "ok" or each["next_step"]
    return findings


class OddKie(BaseHTTPRequestHandler):
    """A KIE whose clock has stopped, and which repeats the key in what it says."""

    date: ClassVar[str] = "Wed, 01 Jan 2020 00:00:00 GMT"

    def do_GET(self) -> None:
        words = f"{self.headers['Authorization']} is not known"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"code": 401, "msg": words, "data": None}).encode())

    def date_time_string(self, timestamp: float | None = None) -> str:
        del timestamp
        return self.date

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 (the name is that of the base class)
        pass


@contextlib.contextmanager
def serve_odd_kie() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), OddKie) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def list_files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


def make_ledger(folder: Path, tasks: int) -> Path:
    async def make() -> None:
        ledger = await Ledger.open(folder)
        for number in range(tasks):
            await ledger.add(task(f"t_{number}"))
        await ledger.close()

    anyio.run(make)
    return folder / "ledger.sqlite3"


def change_ledger(file: Path, statement: str) -> None:
    connection = sqlite3.connect(file)
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_all_is_well_with_a_kie_that_accepts_the_key(home: Path, tmp_path: Path) -> None:
    with serve_command("sandbox", "--port", "0", "--credits", "70", KIE_MCP_DATA_DIR=str(tmp_path / "kie")) as url:
        found = examine(home, KIE_API_KEY="sandbox", KIE_MCP_BASE_URL=url, KIE_MCP_MAX_CREDITS_PER_DAY="500")
    assert (found["KIE"]["status"], found["clock"]["status"]) == ("ok", "ok")
    assert "70 credits" in found["KIE"]["text"]
    assert f"kie-mcp {__version__}" in found["versions"]["text"]
    assert "500 credits" in " ".join(found["spending"]["details"])
    assert found["settings"]["text"].startswith("Set here: KIE_API_KEY, KIE_MCP_BASE_URL")


def test_an_empty_balance_is_told(home: Path, tmp_path: Path) -> None:
    with serve_command("sandbox", "--port", "0", "--credits", "0", KIE_MCP_DATA_DIR=str(tmp_path / "kie")) as url:
        found = examine(home, KIE_API_KEY="sandbox", KIE_MCP_BASE_URL=url)["KIE"]
    assert found["status"] == "note"
    assert "KIE_MCP_SANDBOX_CREDITS" in found["next_step"]


def test_without_a_key_and_a_network_it_says_how_to_set_one(home: Path) -> None:
    found = examine(home, ends_with=1, KIE_API_KEY="", https_proxy=NOWHERE)
    assert found["key"]["status"] == "mend"
    assert "KIE_API_KEY" in found["key"]["next_step"]
    assert "KIE" not in found
    assert found["ledger"]["status"] == "ok"


@pytest.mark.parametrize("settings", [SANDBOX, {"KIE_API_KEY": KEY, "KIE_MCP_BASE_URL": NOWHERE}, {}])
def test_nothing_is_made(settings: dict[str, str], home: Path) -> None:
    run_doctor(home, **settings)
    assert list(home.iterdir()) == []


def test_the_table_is_for_people(home: Path) -> None:
    run = run_doctor(home, COLUMNS="200", **SANDBOX)
    assert (run.returncode, run.stderr) == (0, "")
    assert max(map(len, run.stdout.splitlines())) <= 80
    assert run.stdout.endswith("\nEverything works.\n")
    shown = run.stdout.split()
    for each in examine(home).values():
        for word in (*each["text"].split(), *each["next_step"].split()):
            assert word in shown or len(word) > 40


def test_the_table_ends_with_what_has_to_be_mended(home: Path) -> None:
    run = run_doctor(home, KIE_MCP_READ_DIRS=str(home / "nothing"))
    assert run.returncode == 1
    assert run.stdout.endswith("\nTo be mended: key, local files.\n")


def test_a_key_that_cannot_be_one_is_told_without_it(home: Path) -> None:
    found = examine(home, ends_with=1, KIE_API_KEY=f"Bearer {KEY}")
    assert found["key"]["status"] == "mend"
    assert "begins with Bearer" in found["key"]["text"]


def test_a_kie_that_refuses_the_key_and_has_another_time_is_told(home: Path) -> None:
    with serve_odd_kie() as url:
        found = examine(home, ends_with=1, KIE_API_KEY=KEY, KIE_MCP_BASE_URL=url)
    assert found["KIE"]["status"] == "mend"
    assert "[key] is not known" in found["KIE"]["text"]
    assert found["clock"]["status"] == "note"
    assert "ahead of KIE's" in found["clock"]["text"]


def test_an_answer_without_a_time_that_can_be_read_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OddKie, "date", "yesterday")
    with serve_odd_kie() as url:
        assert examine(home, ends_with=1, KIE_API_KEY=KEY, KIE_MCP_BASE_URL=url)["clock"]["status"] == "ok"


def test_a_kie_that_cannot_be_reached_is_told(home: Path) -> None:
    found = examine(home, ends_with=1, KIE_API_KEY=KEY, KIE_MCP_BASE_URL=NOWHERE)
    assert found["KIE"]["status"] == "mend"
    assert "KIE_MCP_BASE_URL" in found["KIE"]["next_step"]
    assert "clock" not in found


@pytest.mark.anyio
async def test_a_kie_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIE_API_KEY", KEY)
    monkeypatch.setenv("KIE_MCP_BASE_URL", NOWHERE)
    monkeypatch.setenv("all_proxy", "")
    (found,) = await check_kie(Settings(), seconds=0)
    assert (found.status, found.text) == ("mend", "KIE did not answer within 0 seconds.")


def test_a_key_that_cannot_be_one_is_hidden_elsewhere_too(home: Path) -> None:
    found = examine(home, ends_with=1, KIE_API_KEY=f"Bearer '{KEY}'", KIE_MCP_TOOLS=KEY)
    assert "[key]" in found["settings"]["text"]
    assert KEY not in str(found)


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_no_secret_is_shown_wherever_it_stands(form: tuple[str, ...], home: Path) -> None:
    with serve_odd_kie() as url:
        run = run_doctor(
            home,
            *form,
            KIE_API_KEY=KEY,
            KIE_MCP_BASE_URL=url,
            KIE_MCP_HTTP_TOKEN=TOKEN,
            KIE_MCP_TOOLS=f"image,{KEY}",
            KIE_MCP_OUTPUT_DIR=str(home / TOKEN),
            KIE_MCP_READ_DIRS=str(home / PASSWORD),
            http_proxy=f"http://ann:{PASSWORD}@127.0.0.1:9",
            NO_PROXY="127.0.0.1",
        )
    shown = "".join(run.stdout.split())
    assert "http://127.0.0.1:9" in shown
    for secret in (KEY, TOKEN, PASSWORD):
        assert secret not in shown
        assert secret not in run.stderr


@unix_only
def test_a_file_with_the_key_that_others_may_open_is_told(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(0o644)
    settings = {"KIE_API_KEY": "", "KIE_API_KEY_FILE": str(file), "KIE_MCP_BASE_URL": NOWHERE}
    found = examine(home, ends_with=1, **settings)["key"]
    assert (found["status"], found["next_step"]) == ("note", f"chmod 600 {file}")
    file.chmod(0o600)
    assert examine(home, ends_with=1, **settings)["key"]["status"] == "ok"


def test_all_wrong_and_misspelt_settings_are_told_at_once(home: Path) -> None:
    found = examine(
        home, ends_with=1, KIE_MCP_MAX_CREDIT_PER_DAY="5", KIE_MCP_SAVE="perhaps", KIE_MCP_CONFIRM_ABOVE="-1"
    )
    for name in ("KIE_MCP_MAX_CREDITS_PER_DAY?", "KIE_MCP_SAVE: ", "KIE_MCP_CONFIRM_ABOVE: "):
        assert name in found["settings"]["text"]
    assert "ledger" not in found
    assert found["ffmpeg"]


def test_a_misspelt_setting_leaves_the_others_to_be_examined(home: Path) -> None:
    found = examine(home, ends_with=1, KIE_MCP_MAX_CREDIT_PER_DAY="5")
    assert found["settings"]["status"] == "mend"
    assert found["spending"]["status"] == "ok"
    assert found["ledger"]["status"] == "ok"


def test_a_tool_that_does_not_exist_is_told(home: Path) -> None:
    found = examine(home, ends_with=1, KIE_MCP_TOOLS="veo_vido")
    assert "veo_vido" in found["settings"]["text"]
    assert "veo_video" in found["settings"]["next_step"]


def test_a_missing_cap_for_a_day_is_told_and_one_is_recommended(home: Path) -> None:
    settings = {"KIE_API_KEY": KEY, "KIE_MCP_BASE_URL": NOWHERE}
    found = examine(home, ends_with=1, **settings)["spending"]
    assert found["status"] == "note"
    assert "KIE_MCP_MAX_CREDITS_PER_DAY" in found["next_step"]
    found = examine(home, ends_with=1, KIE_MCP_MAX_CREDITS_PER_DAY="20", KIE_MCP_CONFIRM_HOURLY="0", **settings)
    assert found["spending"]["status"] == "ok"
    assert "an hour" not in found["spending"]["text"]
    assert found["spending"]["details"] == ["Cap for any 24 hours: 20 credits ($0.10)."]


def test_the_folders_that_count_are_told_and_why_others_do_not(home: Path, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    found = examine(home, KIE_MCP_READ_DIRS=str(tmp_path / "films"))["local files"]
    assert f"{tmp_path / 'films'} (KIE_MCP_READ_DIRS)" in found["details"]
    assert f"{home / 'Pictures'} (Pictures)" in found["details"]
    assert f"not {home} (the working folder): it is the home folder" in found["details"]
    assert "KIE_MCP_READ_DIRS" in found["next_step"]


@pytest.mark.parametrize("name", ["nothing", "n" * 300, "circle"])
def test_a_folder_to_read_from_that_does_not_exist_is_told(name: str, home: Path) -> None:
    (home / "circle").symlink_to(home / "circle")
    found = examine(home, ends_with=1, KIE_MCP_READ_DIRS=str(home / name))["local files"]
    assert str(home / name) in found["text"]


def test_a_link_that_leads_nowhere_in_the_place_of_a_folder_is_told(home: Path) -> None:
    (home / "out").symlink_to(home / "nothing")
    assert examine(home, ends_with=1)["output folder"]["status"] == "mend"


@pytest.mark.parametrize(("setting", "name"), [("OUTPUT", "output folder"), ("DATA", "data folder")])
def test_a_file_in_the_place_of_a_folder_is_told(setting: str, name: str, home: Path) -> None:
    (home / "file").touch()
    found = examine(home, ends_with=1, **{f"KIE_MCP_{setting}_DIR": str(home / "file" / "below")})[name]
    assert (found["status"], found["text"]) == ("mend", f"{home / 'file'} is in the way: it is no folder.")
    assert f"KIE_MCP_{setting}_DIR" in found["next_step"]


@unix_only
def test_a_folder_that_others_may_open_is_told(home: Path) -> None:
    (home / "out").mkdir(mode=0o755)
    found = examine(home)["output folder"]
    assert (found["status"], found["next_step"]) == ("note", f"chmod 700 {home / 'out'}")
    (home / "out").chmod(0o700)
    assert examine(home)["output folder"]["status"] == "ok"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's.")
def test_a_folder_without_room_is_told(home: Path) -> None:
    found = examine(home, ends_with=1, KIE_MCP_OUTPUT_DIR="/proc/sys")["output folder"]
    assert found["status"] == "mend"
    assert "KIE_MCP_OUTPUT_DIR" in found["next_step"]


def test_a_folder_that_depends_on_the_working_folder_is_told(home: Path) -> None:
    found = examine(home, KIE_MCP_OUTPUT_DIR="films")["output folder"]
    assert found["status"] == "note"
    assert str(home / "films") in found["text"]


@unix_only
def test_a_working_folder_that_was_deleted_ends_nothing(home: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    changes = SANDBOX | {"HOME": str(home)}
    script = f"mkdir {gone} && cd {gone} && rmdir {gone} && exec {shlex.quote(sys.executable)} -m kie_mcp doctor --json"
    run = anyio.run(lambda: anyio.run_process(script, env=os.environ | changes, check=False))
    found = json.loads(run.stdout)["findings"]
    assert not any("the working folder" in detail for each in found for detail in each["details"])


def test_results_that_are_not_saved_need_no_folder(home: Path) -> None:
    assert "KIE_MCP_SAVE" in examine(home, KIE_MCP_SAVE="0", KIE_MCP_OUTPUT_DIR="/proc/sys")["output folder"]["text"]


@needs_s3
def test_a_bucket_is_tried_and_left_as_it_is(home: Path, tmp_path: Path) -> None:
    with run_s3_server(tmp_path / "s3") as server:
        right: dict[str, Any] = dict(server.environment())
        found = examine(home, KIE_MCP_STORAGE=f"s3://{BUCKET}/kie", **right)["bucket"]
        assert (found["status"], found["text"]) == ("ok", f"s3://{BUCKET}/kie takes files.")
        assert server.read_objects("") == {}
        wrong: dict[str, Any] = server.environment() | {"AWS_SECRET_ACCESS_KEY": "a secret that is wrong"}
        told = examine(home, ends_with=1, KIE_MCP_STORAGE=f"s3://{BUCKET}/kie", **wrong)["bucket"]
        assert (told["status"], "403 SignatureDoesNotMatch" in told["text"]) == ("mend", True)
    gone: dict[str, Any] = dict(server.environment())
    told = examine(home, ends_with=1, KIE_MCP_STORAGE=f"s3://{BUCKET}/kie", **gone)["bucket"]
    assert "ConnectError" in told["text"]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.usefixtures("created_tables", "database")
@pytest.mark.anyio
async def test_a_database_is_examined_and_left_as_it_is(home: Path) -> None:
    url = find_url(home)
    found = (await to_thread.run_sync(partial(examine, home, KIE_MCP_DATABASE_URL=url)))["ledger"]
    assert re.fullmatch(r"PostgreSQL \S+.* is reached; the first call makes the ledger there\.", found["text"])
    ledger = await open_ledger(home, schema="kie_mcp_sandbox")
    await ledger.add(task("t_1"))
    await ledger.close()
    found = (await to_thread.run_sync(partial(examine, home, KIE_MCP_DATABASE_URL=url)))["ledger"]
    assert found["text"].endswith(f"has 1 tasks, version {NEWEST_VERSION}.")


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.usefixtures("created_tables", "database")
def test_a_database_that_cannot_hold_the_ledger_is_told_without_its_url(home: Path) -> None:
    url = find_url(home)
    found_in = find_database(home)
    assert found_in
    server, name = found_in
    server.execute("postgres", f"ALTER DATABASE {name} OWNER TO postgres", f"REVOKE ALL ON DATABASE {name} FROM kie")
    told = examine(home, ends_with=1, KIE_MCP_DATABASE_URL=url)["ledger"]
    assert "lacks the right to create a schema" in told["text"]
    with server.lose(name):
        told = examine(home, ends_with=1, KIE_MCP_DATABASE_URL=url)["ledger"]
    assert (told["status"], "cannot be used" in told["text"]) == ("mend", True)
    told = examine(home, ends_with=1, KIE_MCP_DATABASE_URL="postgresql://kie:secret@127.0.0.1:1/none")["ledger"]
    assert "secret" not in repr(told)


def test_the_ledger_is_counted_and_left_as_it_is(home: Path) -> None:
    make_ledger(home / "data" / "sandbox", 3)
    before = list_files(home)
    found = examine(home)["ledger"]
    assert (found["status"], found["text"]) == ("ok", f"It has 3 tasks, version {NEWEST_VERSION}.")
    assert list_files(home) == before


@pytest.mark.anyio
async def test_a_ledger_that_a_server_has_open_is_read_as_it_is_now(home: Path) -> None:
    ledger = await Ledger.open(home)
    await ledger.add(task("t_1"))
    assert inspect_ledger(home) == Inspection(version=NEWEST_VERSION, tasks=1, broken=0)
    await ledger.add(task("t_2"))
    assert inspect_ledger(home) == Inspection(version=NEWEST_VERSION, tasks=2, broken=0)
    await ledger.close()


@pytest.mark.parametrize(("column", "value"), [("arguments", "{"), ("created", "Monday"), ("results", "[1]")])
def test_broken_rows_are_counted(column: str, value: str, home: Path) -> None:
    file = make_ledger(home / "data" / "sandbox", 3)
    change_ledger(file, f"UPDATE tasks SET {column} = '{value}' WHERE id = 't_1'")
    found = examine(home)["ledger"]
    assert found["status"] == "note"
    assert "1 are broken" in found["text"]


@pytest.mark.parametrize(
    ("version", "ends_with", "words"),
    [(NEWEST_VERSION + 1, 1, "A newer kie-mcp"), (NEWEST_VERSION - 1, 0, "the next start of the server upgrades it")],
)
def test_a_ledger_of_another_version_is_told(version: int, ends_with: int, words: str, home: Path) -> None:
    file = make_ledger(home / "data" / "sandbox", 1)
    change_ledger(file, f"UPDATE ledger SET version = {version}")
    assert words in examine(home, ends_with=ends_with)["ledger"]["text"]


def test_a_ledger_that_is_broken_is_told_and_stays(home: Path) -> None:
    file = make_ledger(home / "data" / "sandbox", 1)
    file.write_bytes(b"no database " * 1000)
    before = list_files(home)
    found = examine(home, ends_with=1)["ledger"]
    assert (found["status"], "not a database" in found["text"]) == ("mend", True)
    assert list_files(home) == before


def test_a_folder_in_the_place_of_the_ledger_is_told(home: Path) -> None:
    (home / "data" / "sandbox" / "ledger.sqlite3").mkdir(parents=True)
    assert "is no file" in examine(home, ends_with=1)["ledger"]["text"]


@pytest.mark.parametrize("address", ["socks5://ann:{}@127.0.0.1:9", "http://ann:{}@127.0.0.1:99999", "http://{}@[bad"])
def test_a_proxy_that_cannot_be_used_is_told_without_its_password(address: str, home: Path) -> None:
    found = examine(home, ends_with=1, all_proxy=address.format(PASSWORD))["proxy"]
    assert found["status"] == "mend"
    assert PASSWORD not in str(found)
    assert "SOCKS" in found["next_step"]


@needs_ffmpeg
def test_ffmpeg_is_told_with_its_place(home: Path) -> None:
    found = examine(home)["ffmpeg"]
    assert (found["status"], "ffmpeg" in found["text"]) == ("ok", True)


@unix_only
def test_an_ffmpeg_that_does_not_run_is_told(home: Path, tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    found = examine(home, ends_with=1, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")["ffmpeg"]
    assert (found["status"], found["text"]) == ("mend", f"{program} does not run.")
