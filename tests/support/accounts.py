"""A real OpenID provider, and helpers that log people in and connect clients for them."""

import json
import re
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl, SecretStr
from starlette.types import ASGIApp

from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.server.app import App
from kie_mcp.server.http import PATH, build_http_app
from support.paths import ROOT
from support.servers import serve_at

NODE = ROOT / ".node" / "node_modules"
PROVIDER = NODE / "oidc-provider" / "lib" / "index.js"
SCRIPT = ROOT / "tests" / "support" / "provider.mjs"
CALLBACK = "http://127.0.0.1:1/callback"
"""URL to which the provider redirects after the login; no server listens there, so clients only read the redirect."""
needs_provider = pytest.mark.skipif(not PROVIDER.exists(), reason="no oidc-provider; see scripts/node")


@cache
def make_key(id_: str) -> dict[str, Any]:
    """Make a private RSA key as a JWK; a second call with the same id returns the same key."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    numbers = RSAAlgorithm.to_jwk(private, as_dict=True)
    # The provider would publish the field key_ops, but its operations are those of a private key.
    del numbers["key_ops"]
    return {**numbers, "kid": id_, "use": "sig", "alg": "RS256"}


def sign(key: dict[str, Any], /, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """Sign a token with a key of the provider, so that the token looks as if the provider had issued it."""
    usual = {"kid": key["kid"], "typ": "at+jwt"}
    return jwt.encode(claims, _read_key(json.dumps(key)), algorithm="RS256", headers=usual | (header or {}))


@cache
def _read_key(key: str) -> Any:
    """Return the private key of a JWK; checking its numbers takes ten times as long as a signature."""
    return jwt.PyJWK(json.loads(key)).key


def claims_for(issuer: str, audience: str, **changed: Any) -> dict[str, Any]:
    """Return the claims of a valid token; `changed` replaces claims, and a claim that is None is left out."""
    now = int(time.time())
    good = {
        "iss": issuer,
        "aud": audience,
        "sub": "ann",
        "client_id": "tests",
        "iat": now,
        "exp": now + 600,
        "scope": "kie:read kie:spend",
    }
    return {name: value for name, value in (good | changed).items() if value is not None}


@contextmanager
def run_provider(
    *keys: dict[str, Any],
    port: int = 0,
    forbidden: Sequence[str] = (),
    claims: Mapping[str, Mapping[str, object]] = MappingProxyType({}),
) -> Iterator[str]:
    """Run the provider, and yield its URL.

    Args:
        keys: The provider's keys; it signs with the first one.
        port: The provider's port; 0 for any free port.
        forbidden: Scopes that the provider never grants.
        claims: For each person, more claims of their access tokens.
    """
    options = {"port": port, "keys": keys, "forbidden": forbidden, "claims": dict(claims)}
    given = json.dumps({"package": str(PROVIDER), **options})
    command = [str(NODE / ".bin" / "node"), str(SCRIPT), given]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as process:
        assert process.stdout
        try:
            # The provider prints warnings before its URL.
            yield next(line.strip() for line in process.stdout if line.startswith("http://127.0.0.1"))
        finally:
            process.terminate()


def find_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def log_in(browser: httpx2.AsyncClient, url: str, person: str, stop: str = CALLBACK) -> str:
    """Open a URL in a browser, log in at the provider and allow all scopes, and return the URL of the last redirect.

    Args:
        browser: An HTTP client, which keeps cookies.
        url: The URL to open.
        person: The name of the person.
        stop: The URL, without its query, at which redirects are not followed any more.
    """
    answer = await browser.get(url)
    for _ in range(12):
        if answer.has_redirect_location:
            url = str(httpx2.URL(answer.url).join(answer.headers["location"]))
            if url.partition("?")[0] == stop:
                return url
            answer = await browser.get(url)
            continue
        form = re.search(r'<form[^>]* action="([^"]+)"', answer.text)
        prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
        assert form, answer.text
        assert prompt, answer.text
        given = {"prompt": prompt[1], "login": person, "password": "any"}
        answer = await browser.post(httpx2.URL(answer.url).join(form[1]), data=given)
    raise AssertionError(f"the login never ends: {answer.url}")


def register(issuer: str, address: str) -> dict[str, Any]:
    """Register the server with this URL at the provider, and return the settings with its client id and secret."""
    known = {"client_name": "kie-mcp", "application_type": "native", "redirect_uris": [f"{address}/account/callback"]}
    given = httpx2.post(f"{issuer}/reg", json=known).json()
    return {"oidc_client_id": given["client_id"], "oidc_client_secret": SecretStr(given["client_secret"])}


def read_form(page: httpx2.Response) -> str:
    """Return the secret value that each form on the page `/account` contains."""
    found = re.search(r'name="form" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


class Memory:
    """Storage in which a client keeps its tokens and its registration."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@asynccontextmanager
async def connect_account(
    url: str, person: str, *, name: str = "signed", memory: Memory | None = None, asked: list[str] | None = None
) -> AsyncIterator[Client]:
    """Connect the SDK's client, which registers itself, and log a person in when the server demands it.

    Args:
        url: The MCP endpoint.
        person: The name of the person who logs in.
        name: The client's name; `opaque` gets tokens that are not signed.
        memory: Where the client keeps its tokens.
        asked: A list to which the scopes of each login are added; None to ignore them.
    """
    memory = memory or Memory()
    async with httpx2.AsyncClient() as browser:
        reached: list[str] = []

        async def open_page(address: str) -> None:
            if asked is not None:
                asked.append(dict(parse_qsl(urlsplit(address).query))["scope"])
            reached.append(await log_in(browser, address, person))

        async def read_callback() -> AuthorizationCodeResult:
            return AuthorizationCodeResult.model_validate(dict(parse_qsl(urlsplit(reached.pop()).query)))

        metadata = OAuthClientMetadata(redirect_uris=[AnyUrl(CALLBACK)], client_name=name)
        auth = OAuthClientProvider(url, metadata, memory, open_page, read_callback)
        async with (
            httpx2.AsyncClient(auth=auth, timeout=120) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            yield client


@asynccontextmanager
async def serve_people(
    settings: Settings, transport: httpx2.AsyncBaseTransport, clock: Clock, issuer: str
) -> AsyncIterator[str]:
    """Serve an app in which each person stores a KIE key of their own, and yield the URL of its MCP endpoint."""
    known = {"sandbox": False, "api_key": SecretStr("the-operators-key"), "account_keys": "person", "save": False}
    app = App(settings.model_copy(update=known), local_files=False, transport=transport, clock=clock)
    async with serve_accounts(app, issuer) as address:
        yield address


@asynccontextmanager
async def serve_accounts(app: App, issuer: str, **changed: Any) -> AsyncIterator[str]:
    """Serve an app that accepts the provider's tokens, and yield the URL of its MCP endpoint.

    Args:
        app: The app.
        issuer: The provider's URL; the server is registered there unless `changed` has a client id.
        changed: More settings.
    """

    def build(address: str) -> ASGIApp:
        known = {} if "oidc_client_id" in changed else register(issuer, address)
        more = {"public_url": address, "oidc_issuer": issuer, **known, **changed}
        app._settings = app.settings.model_copy(update=more)
        return build_http_app(app, host="127.0.0.1")

    async with serve_at(build) as address:
        yield address + PATH
