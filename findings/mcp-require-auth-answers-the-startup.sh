#!/bin/sh
# mcp (Python SDK) 2.3.0: around a whole application, `RequireAuthMiddleware` answers the server's start with status 401.
#
# It is ASGI middleware, so one would put it around an application with several routes, as one does with Starlette's own
# `AuthenticationMiddleware`, which passes on whatever is no request. `RequireAuthMiddleware` does not look at the kind of
# event: it sends a 401 for `lifespan`, too. uvicorn takes that for an application without a start, says nothing and
# serves. Nothing that the application opens at its start is there, so the first call with a good token ends in
# status 500.
#
# Prints the answers to calls without and with a good token, and whether the application was started; fails when that
# changes.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mcp==2.3.0 uvicorn==0.54.0
cat >"$folder/probe.py" <<'PY'
import socket
import threading
from contextlib import asynccontextmanager
from importlib.metadata import version

import httpx2
import uvicorn
from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend, RequireAuthMiddleware
from mcp.server.auth.provider import AccessToken
from starlette.applications import Starlette
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

opened = []


class Tokens:
    async def verify_token(self, token):
        return AccessToken(token=token, client_id="x", scopes=[]) if token == "good" else None


@asynccontextmanager
async def lifespan(_):
    opened.append("database")
    yield


application = Starlette(routes=[Route("/", lambda _: PlainTextResponse(opened[0]))], lifespan=lifespan)
protected = AuthenticationMiddleware(RequireAuthMiddleware(application, []), BearerAuthBackend(Tokens()))
server = uvicorn.Server(uvicorn.Config(protected, log_level="critical"))
listener = socket.create_server(("127.0.0.1", 0))
thread = threading.Thread(target=server.run, args=([listener],))
thread.start()
url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
without = httpx2.get(url).status_code
with_token = httpx2.get(url, headers={"Authorization": "Bearer good"}).status_code
server.should_exit = True
thread.join()
print("mcp", version("mcp"), "uvicorn", version("uvicorn"))
print("without a token:", without)
print("with a good token:", with_token)
print("opened at the start:", opened or "nothing")
assert (without, with_token, opened) == (401, 500, []), "this has changed"
PY
"$folder/venv/bin/python" "$folder/probe.py"
