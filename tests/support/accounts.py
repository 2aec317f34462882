"""A real OpenID provider, people who log in there, and clients that act for them."""

import json
import re
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache
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

from kie_mcp.server.app import App
from kie_mcp.server.http import PATH, build_http_app
from support.paths import ROOT
from support.servers import serve_at

NODE = ROOT / ".node" / "node_modules"
PROVIDER = NODE / "oidc-provider" / "lib" / "index.js"
SCRIPT = ROOT / "tests" / "support" / "provider.mjs"
CALLBACK = "http://127.0.0.1:1/callback"
"""Where the provider sends people after the login; nobody listens there, and clients read it from the redirect."""
needs_provider = pytest.mark.skipif(not PROVIDER.exists(), reason="no oidc-provider; see scripts/node")


@cache
def make_key(id_: str) -> dict[str, Any]:
    """Make a private RSA key as a JWK; the same one for the same id."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    numbers = RSAAlgorithm.to_jwk(private, as_dict=True)
    # The provider would publish these operations, which are those of the private key.
    del numbers["key_ops"]
    return {**numbers, "kid": id_, "use": "sig", "alg": "RS256"}


def sign(key: dict[str, Any], /, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """Sign a token with a key of the provider, as nobody but the provider can."""
    private = jwt.PyJWK(key).key
    usual = {"kid": key["kid"], "typ": "at+jwt"}
    return jwt.encode(claims, private, algorithm="RS256", headers=usual | (header or {}))


def claims_for(issuer: str, audience: str, **changed: Any) -> dict[str, Any]:
    """Return the claims of a good token; None leaves a claim out."""
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
def run_provider(*keys: dict[str, Any], port: int = 0, forbidden: Sequence[str] = ()) -> Iterator[str]:
    """Run the provider and give its address.

    Args:
        keys: The keys with which it signs; the first one is used.
        port: Its port; 0 for any.
        forbidden: Scopes that it gives nobody.
    """
    given = json.dumps({"package": str(PROVIDER), "port": port, "keys": keys, "forbidden": forbidden})
    command = [str(NODE / ".bin" / "node"), str(SCRIPT), given]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as process:
        assert process.stdout
        try:
            # Before its address, it prints warnings.
            yield next(line.strip() for line in process.stdout if line.startswith("http://127.0.0.1"))
        finally:
            process.terminate()


def find_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def log_in(browser: httpx2.AsyncClient, url: str, person: str, stop: str = CALLBACK) -> str:
    """Open an address in a browser, log in at the provider and allow all, and return the address to which that leads.

    Args:
        browser: An HTTP client, which keeps cookies.
        url: The address.
        person: The name of the person.
        stop: The address that is not opened any more, without its query.
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
    """Register a server at this address with the provider, and return the settings with its id and its secret."""
    known = {"client_name": "kie-mcp", "application_type": "native", "redirect_uris": [f"{address}/account/callback"]}
    given = httpx2.post(f"{issuer}/reg", json=known).json()
    return {"oidc_client_id": given["client_id"], "oidc_client_secret": SecretStr(given["client_secret"])}


def read_form(page: httpx2.Response) -> str:
    """Return the secret of the forms on the page `/account`."""
    found = re.search(r'name="form" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


class Memory:
    """What a client remembers of its login."""

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
        person: Who logs in.
        name: The client's name; `opaque` gets tokens that are not signed.
        memory: Where the client keeps its tokens.
        asked: Takes the scopes of each login that the client began.
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
            httpx2.AsyncClient(auth=auth) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            yield client


@asynccontextmanager
async def serve_accounts(app: App, issuer: str, **changed: Any) -> AsyncIterator[str]:
    """Serve an app that takes the provider's tokens, and give the URL of its MCP endpoint.

    Args:
        app: The app.
        issuer: The provider's address, at which the server registers itself unless it has an id.
        changed: More settings.
    """

    def build(address: str) -> ASGIApp:
        known = {} if "oidc_client_id" in changed else register(issuer, address)
        more = {"public_url": address, "oidc_issuer": issuer, **known, **changed}
        app._settings = app.settings.model_copy(update=more)
        return build_http_app(app, host="127.0.0.1")

    async with serve_at(build) as address:
        yield address + PATH
