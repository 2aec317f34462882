#!/bin/sh
# Authlib 1.9.10, Starlette: of two tabs in which a user logs in, the first fails with `mismatching_state`.
#
# Each login has a `state` of its own, and the session has a key for each state, so that several logins can be under
# way. One would expect that both tabs get in, as they do with the same client in Flask. But the Starlette integration
# removes all other states of the provider whenever a login begins, because the session may be a cookie of 4 kB. It does
# so after the second login too, where there is much room yet, and with a `cache`, where the session keeps only a time
# per login. Who opens two links of an application that needs a login, and then logs in at the first, gets a "CSRF
# Warning!".
#
# Prints what both tabs get in Flask, and in Starlette without and with a cache; fails when that changes.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check authlib==1.9.10 starlette==1.10.0 httpx2==2.16.2 \
    itsdangerous==2.2.0 flask==3.1.3 requests==2.34.2
cat >"$folder/probe.py" <<'PY'
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from urllib.parse import parse_qs, urlsplit

import flask
from authlib.integrations import flask_client, starlette_client
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient


class Provider(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"access_token": "token", "token_type": "Bearer"}')

    def log_message(self, *_):
        pass


class Cache(dict):
    async def get(self, key):
        return super().get(key)

    async def set(self, key, value, _expires_in):
        self[key] = value

    async def delete(self, key):
        self.pop(key, None)


server = HTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}"
SETTINGS = {"client_id": "client", "client_secret": "secret"}
SETTINGS |= {"authorize_url": f"{address}/authorize", "access_token_url": f"{address}/token"}
BACK = "http://testserver/back"


def open_flask():
    app = flask.Flask("app")
    app.secret_key = "key"
    client = flask_client.OAuth(app).register("provider", **SETTINGS)

    @app.get("/login")
    def log_in():
        return client.authorize_redirect(BACK)

    @app.get("/back")
    def come_back():
        try:
            client.authorize_access_token()
        except flask_client.OAuthError as error:
            return error.error
        return "logged in"

    return app.test_client()


def open_starlette(cache=None):
    client = starlette_client.OAuth(cache=cache).register("provider", **SETTINGS)

    async def log_in(request):
        return await client.authorize_redirect(request, BACK)

    async def come_back(request):
        try:
            await client.authorize_access_token(request)
        except starlette_client.OAuthError as error:
            return PlainTextResponse(error.error)
        return PlainTextResponse("logged in")

    routes = [Route("/login", log_in), Route("/back", come_back)]
    app = Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, secret_key="key")])
    return TestClient(app, follow_redirects=False)


def log_in_twice(browser):
    states = [parse_qs(urlsplit(browser.get("/login").headers["Location"]).query)["state"][0] for _ in range(2)]
    answers = [browser.get(f"/back?code=code&state={state}") for state in states]
    return [answer.text for answer in answers]


print("authlib", version("authlib"))
for name, browser in (
    ("Flask", open_flask()),
    ("Starlette", open_starlette()),
    ("Starlette with a cache", open_starlette(Cache())),
):
    first, second = log_in_twice(browser)
    print(f"{name}: first tab {first}, second tab {second}")
PY
"$folder/venv/bin/python" "$folder/probe.py" >"$folder/seen"
cat "$folder/seen"
cat >"$folder/expected" <<'TEXT'
authlib 1.9.10
Flask: first tab logged in, second tab logged in
Starlette: first tab mismatching_state, second tab logged in
Starlette with a cache: first tab mismatching_state, second tab logged in
TEXT
cmp "$folder/seen" "$folder/expected"
