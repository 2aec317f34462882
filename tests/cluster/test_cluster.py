"""Replicas behind a proxy, as compose.yaml runs them: one of them ends while a task runs."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from string import Template
from typing import Any

import anyio
import httpx2
import pytest
from ruamel.yaml import YAML
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from support.accounts import log_in, needs_provider
from support.paths import ROOT
from support.preloaded import preloaded_command
from support.servers import serve_at

from cluster.cluster import NO_NGINX, TOKEN, find_nginx, run_cluster
from cluster.visit import follow, make
from kie_mcp.server.accounts.access_tokens import READ, SPEND

pytestmark = pytest.mark.anyio


@pytest.mark.skipif(not find_nginx(), reason=NO_NGINX)
async def test_a_task_goes_on_when_its_replica_ends(tmp_path: Path) -> None:
    with run_cluster(tmp_path, seconds=6, kie_mcp=preloaded_command()) as cluster:
        # A file of a caller is larger than any other request; the proxy lets it through, and the server looks at it.
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as http:
            refused = await http.post(cluster.url.replace("/mcp", "/uploads?name=a.png"), content=bytes(6_000_000))
            assert (refused.status_code, refused.json()["error"]["category"]) == (400, "invalid_call")
        made = await make(cluster, "kling_video")
        watched_by, other = sorted(cluster.replicas, key=lambda each: not each.watches(made["task_id"]))
        assert not other.watches(made["task_id"])
        assert watched_by.end() < 10
        ended = await follow(cluster, made["task_id"])
        assert ended["status"] == "succeeded"
        assert (len(cluster.read_accepted()), cluster.count_results()) == (1, 1)
        assert other.is_ready()
        # uvicorn ends the process by the same signal, once all is done.
        assert watched_by.process.returncode == -signal.SIGTERM
        logs = "".join(each.log.read_text(encoding="utf-8") for each in cluster.replicas)
    assert "a heron at dawn" not in logs
    saved = [json.loads(line) for line in logs.splitlines() if '"saved": true' in line]
    assert [line["state"] for line in saved] == ["succeeded"]


@needs_provider
@pytest.mark.skipif(not find_nginx(), reason=NO_NGINX)
async def test_people_log_in_through_the_proxy_and_see_what_only_they_made_at_every_replica(tmp_path: Path) -> None:
    with run_cluster(tmp_path, seconds=1, with_login=True, kie_mcp=preloaded_command()) as cluster:
        made = await follow(cluster, (await make(cluster, "nano_banana_image"))["task_id"])
        assert made["status"] == "succeeded"
        root = cluster.url.removesuffix("/mcp")
        for person, expected in (("ann", [made["task_id"]]), ("bob", [])):
            async with httpx2.AsyncClient(base_url=root) as browser:
                await log_in(browser, f"{root}/library", person, f"{root}/library")
                # The proxy sends the requests to both replicas in turn.
                for _ in range(2 * len(cluster.replicas)):
                    items = (await browser.get("/library/api/items")).json()["items"]
                    assert [each["id"] for each in items] == expected
                    for file in (each for item in items for each in item["files"]):
                        shown = await browser.get(file["url"])
                        assert (shown.status_code, shown.headers["content-type"]) == (200, "image/jpeg")
        async with httpx2.AsyncClient(base_url=root) as nobody:
            assert (await nobody.get("/library/api/items")).status_code == 401
            assert (await nobody.post("/mcp", json={})).status_code == 401
        assert (len(cluster.read_accepted()), cluster.count_results()) == (1, 1)


@pytest.mark.skipif(not shutil.which("docker-compose"), reason="docker-compose is not installed here")
def test_the_compose_file_is_valid() -> None:
    needed = ("LOGIN_ADMIN_PASSWORD", "LOGIN_PASSWORD", "LOGIN_SECRET", "POSTGRES_PASSWORD", "STORAGE_SECRET")
    secrets = dict.fromkeys(needed, "a long random text")
    settings = {**secrets, "PATH": "/usr/bin:/bin"}
    command = ["docker-compose", "-f", "compose.yaml", "config"]
    ran = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("read_only: true") == 2
    services = YAML(typ="safe").load(ran.stdout)["services"]
    assert not [each["image"] for each in services.values() if each["image"].endswith(":latest")]
    # The provider fills in what its file leaves open, so that it knows the replicas' secret and address.
    replica, provider = (services[name]["environment"] for name in ("replica-1", "login"))
    realm = json.loads(Template((ROOT / "deploy" / "realm.json").read_text(encoding="utf-8")).substitute(provider))
    assert replica["KIE_MCP_OIDC_ISSUER"] == f"{provider['KC_HOSTNAME']}/realms/{realm['realm']}"
    server, clients = realm["clients"]
    assert (server["clientId"], server["secret"]) == (
        replica["KIE_MCP_OIDC_CLIENT_ID"],
        replica["KIE_MCP_OIDC_CLIENT_SECRET"],
    )
    assert server["redirectUris"] == [f"{replica['KIE_MCP_PUBLIC_URL']}/account/callback"]
    scopes = {each["name"]: each for each in realm["clientScopes"]}
    assert {READ, SPEND} <= scopes.keys() & {*server["optionalClientScopes"]} & {*clients["optionalClientScopes"]}
    (audience,) = scopes[READ]["protocolMappers"]
    assert audience["config"]["included.custom.audience"] == f"{replica['KIE_MCP_PUBLIC_URL']}/mcp"
    # Without this one, tokens have no subject.
    assert server["defaultClientScopes"] == clients["defaultClientScopes"] == ["basic"]


def read_instructions() -> list[list[str]]:
    """Return the instructions of the Dockerfile, split at blanks."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def test_the_image_runs_without_root_and_copies_only_what_it_needs() -> None:
    instructions = read_instructions()
    last_stage = instructions[max(number for number, words in enumerate(instructions) if words[0] == "FROM") :]
    assert ["USER", "10001:10001"] in last_stage
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [words[1:-1] for words in instructions if words[0] == "COPY" and "--from=build" not in words]
    assert {f"!{each}" for names in copied for each in names} <= {*ignored}
    assert all((ROOT / each).exists() for names in copied for each in names)
    assert ignored[0] == "*"
    settings: Any = " ".join(word for words in instructions for word in words)
    assert "KIE_MCP_DATA_DIR=/data" in settings


async def test_the_image_asks_itself_for_its_health_and_no_proxy() -> None:
    """Docker gives the proxy of its own settings to every container."""
    (check,) = [words for words in read_instructions() if words[0] == "HEALTHCHECK"]
    _, *arguments = json.loads(" ".join(check[check.index("CMD") + 1 :]))
    app = Starlette(routes=[Route("/healthz", lambda _: Response())])
    async with serve_at(lambda _: app) as url:
        ran = await anyio.run_process(
            [sys.executable, *(each.replace("http://127.0.0.1:8765", url) for each in arguments)],
            env={**os.environ, "HTTP_PROXY": "http://proxy.example:3128", "http_proxy": "http://proxy.example:3128"},
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
