"""What is tried with tokens, and that each is refused without a word that helps."""

import hashlib
import hmac
import json
import re
import socket
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from functools import cache
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from support.accounts import claims_for, make_key, needs_provider, sign

from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.kie.client import KieClient
from kie_mcp.server.accounts.access_tokens import name_tenant
from kie_mcp.server.accounts.caller import SCOPE, Caller
from kie_mcp.server.accounts.common_ledger import CommonLedger
from kie_mcp.server.accounts.resource_server import ResourceServer
from kie_mcp.server.http import PATH

pytestmark = [pytest.mark.anyio, needs_provider]

URL = "https://kie.example/mcp"
KEY = make_key("one")
REFUSAL = {"error": "invalid_token", "error_description": "Authentication required"}


def encode(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(text).rstrip(b"=").decode()


def sign_with_public_key(claims: dict[str, Any]) -> str:
    """Sign with HS256, and the text of the public key as the secret."""
    public = jwt.PyJWK({name: KEY[name] for name in ("kty", "n", "e", "kid")}).key
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = f"{encode({'alg': 'HS256', 'typ': 'at+jwt', 'kid': 'one'})}.{encode(claims)}"
    return f"{signed}.{encode(hmac.new(pem, signed.encode(), hashlib.sha256).digest())}"


def forge_payload(claims: dict[str, Any]) -> str:
    """Change a claim of a good token after it was signed."""
    header, _, signature = sign(KEY, **claims).split(".")
    return f"{header}.{encode(claims | {'sub': 'admin'})}.{signature}"


ATTACKS: dict[str, Callable[[dict[str, Any]], str]] = {
    "another audience": lambda good: sign(KEY, **good | {"aud": "https://other.example/mcp"}),
    "the origin as audience": lambda good: sign(KEY, **good | {"aud": good["aud"].removesuffix("/mcp")}),
    "a path below the resource": lambda good: sign(KEY, **good | {"aud": f"{good['aud']}/x"}),
    "no audience": lambda good: sign(KEY, **{name: each for name, each in good.items() if name != "aud"}),
    "another issuer": lambda good: sign(KEY, **good | {"iss": "https://evil.example"}),
    "the issuer with a slash": lambda good: sign(KEY, **good | {"iss": f"{good['iss']}/"}),
    "no issuer": lambda good: sign(KEY, **{name: each for name, each in good.items() if name != "iss"}),
    "expired": lambda good: sign(KEY, **good | {"exp": int(time.time()) - 60}),
    "no expiry": lambda good: sign(KEY, **{name: each for name, each in good.items() if name != "exp"}),
    "not valid yet": lambda good: sign(KEY, **good | {"nbf": int(time.time()) + 60}),
    "an empty subject": lambda good: sign(KEY, **good | {"sub": ""}),
    "no subject": lambda good: sign(KEY, **{name: each for name, each in good.items() if name != "sub"}),
    "alg none": lambda good: f"{encode({'alg': 'none', 'typ': 'at+jwt', 'kid': 'one'})}.{encode(good)}.",
    "alg None": lambda good: f"{encode({'alg': 'None', 'typ': 'at+jwt', 'kid': 'one'})}.{encode(good)}.",
    "HS256 with the public key": sign_with_public_key,
    "another algorithm of the same key": lambda good: jwt.encode(
        good, jwt.PyJWK(KEY).key, algorithm="PS256", headers={"kid": "one", "typ": "at+jwt"}
    ),
    "the key of somebody else under the same id": lambda good: sign({**make_key("evil"), "kid": "one"}, **good),
    "a key that the provider does not have": lambda good: sign(make_key("evil"), **good),
    "the key of another id": lambda good: sign(KEY, header={"kid": "two"}, **good),
    "no id of a key": lambda good: jwt.encode(good, jwt.PyJWK(KEY).key, algorithm="RS256"),
    "an id of a key that is no text": lambda good: (
        f"{encode({'alg': 'RS256', 'kid': 1})}.{encode(good)}.{encode(b'x' * 256)}"
    ),
    "a token for a logout": lambda good: sign(KEY, header={"typ": "logout+jwt"}, **good),
    "a proof of possession": lambda good: sign(KEY, header={"typ": "dpop+jwt"}, **good),
    "a critical header that is not known": lambda good: sign(KEY, header={"crit": ["x"], "x": 1}, **good),
    "a changed payload": forge_payload,
    "a cut signature": lambda good: sign(KEY, **good)[:-8],
    "no signature": lambda good: f"{sign(KEY, **good).rpartition('.')[0]}.",
    "not signed": lambda _: "opaque-" + "x" * 40,
    "nothing": lambda _: "",
    "deeply nested": lambda _: f"{encode(b'[' * 9000)}.e30.x",
    "far too long": lambda good: sign(KEY, **good, more="x" * 20_000),
}


async def greet(scope: Scope, receive: Receive, send: Send) -> None:
    """Stand behind the check of tokens."""
    caller: Caller = scope[SCOPE]
    await JSONResponse({"tenant": caller.tenant, "may_spend": caller.may_spend})(scope, receive, send)


@cache
def protect(issuer: str) -> ASGIApp:
    settings = Settings(public_url="https://kie.example", oidc_issuer=issuer)
    return ResourceServer(settings, PATH, Clock(), KieClient, CommonLedger(settings).open).protect(greet)


@pytest.fixture
async def http(issuer: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application that only callers with a good token reach."""
    transport = httpx2.ASGITransport(protect(issuer))
    async with httpx2.AsyncClient(transport=transport, base_url="https://kie.example") as client:
        yield client


async def call(http: httpx2.AsyncClient, token: str) -> httpx2.Response:
    return await http.post(PATH, headers={"Authorization": f"Bearer {token}"})


async def test_a_good_token_is_taken(http: httpx2.AsyncClient, issuer: str) -> None:
    good = claims_for(issuer, URL)
    assert (await call(http, sign(KEY, **good))).json() == {"tenant": name_tenant(issuer, "ann"), "may_spend": True}
    assert re.fullmatch("[a-z0-9]{24}", name_tenant(issuer, "ann"))
    assert len({name_tenant(issuer, "ann"), name_tenant(issuer, "bob"), name_tenant(f"{issuer}x", "ann")}) == 3
    for header in ({}, {"typ": "JWT"}, {"typ": "application/at+jwt"}):
        assert (await call(http, sign(KEY, header=header, **good))).status_code == 200
    several = sign(KEY, **good | {"aud": ["https://other.example", URL], "scope": None, "scp": ["kie:read"]})
    assert (await call(http, several)).json()["may_spend"] is False


async def test_a_bad_token_is_refused_without_a_reason(http: httpx2.AsyncClient, issuer: str) -> None:
    for attack, forge in ATTACKS.items():
        refused = await call(http, forge(claims_for(issuer, URL)))
        assert (refused.status_code, refused.json()) == (401, REFUSAL), attack
        told = refused.headers["www-authenticate"]
        assert told.startswith('Bearer error="invalid_token", error_description="Auth'), attack


@pytest.mark.parametrize("header", ["jku", "x5u", "jwk"])
async def test_addresses_and_keys_in_a_token_are_never_looked_at(
    http: httpx2.AsyncClient, issuer: str, header: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"http://127.0.0.1:{listener.getsockname()[1]}/keys"
        evil = make_key("evil")
        given = {name: evil[name] for name in ("kty", "n", "e", "kid")} if header == "jwk" else place
        token = sign(evil, header={header: given}, **claims_for(issuer, URL))
        assert (await call(http, token)).status_code == 401
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("scope", ["", "kie:spend", "kie:readx", "openid", None])
async def test_a_token_without_the_scope_is_refused_with_the_scope(
    http: httpx2.AsyncClient, issuer: str, scope: str | None
) -> None:
    refused = await call(http, sign(KEY, **claims_for(issuer, URL, scope=scope)))
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    assert 'scope="kie:read kie:spend"' in refused.headers["www-authenticate"]


@pytest.mark.parametrize("name", ["access_token", "token"])
async def test_a_token_in_the_address_is_no_token(http: httpx2.AsyncClient, issuer: str, name: str) -> None:
    token = sign(KEY, **claims_for(issuer, URL))
    refused = await http.post(PATH, params={name: token})
    assert (refused.status_code, refused.json()) == (401, REFUSAL)


@pytest.mark.parametrize("scheme", ["Basic", "DPoP", "Token", ""])
async def test_another_scheme_is_no_token(http: httpx2.AsyncClient, issuer: str, scheme: str) -> None:
    token = sign(KEY, **claims_for(issuer, URL))
    refused = await http.post(PATH, headers={"Authorization": f"{scheme} {token}".strip()})
    assert (refused.status_code, refused.json()) == (401, REFUSAL)
