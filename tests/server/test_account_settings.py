"""The settings of accounts that do not fit together are refused before a port is opened."""

import httpx2
import pytest
from pydantic import SecretStr
from support.accounts import needs_provider
from support.clock import JumpingClock
from support.commands import run_command, serve_and_record

from kie_mcp.config import Settings
from kie_mcp.errors import ConfigurationError
from kie_mcp.server.accounts.login import add_client_id
from kie_mcp.server.app import App
from kie_mcp.server.http import build_http_app

GOOD = {"public_url": "https://kie.example", "oidc_issuer": "https://login.example/realms/x"}


def build(settings: Settings, **changed: object) -> object:
    app = App(settings.model_copy(update=GOOD | changed), local_files=False, clock=JumpingClock())
    return build_http_app(app, host="0.0.0.0")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"public_url": ""}, "KIE_MCP_PUBLIC_URL"),
        ({"public_url": "http://kie.example"}, "KIE_MCP_PUBLIC_URL is not https"),
        ({"oidc_issuer": "http://login.example"}, "KIE_MCP_OIDC_ISSUER is not https"),
        ({"oidc_issuer": "http://localhost.login.example"}, "KIE_MCP_OIDC_ISSUER is not https"),
        ({"oidc_issuer": "https://login.example?x=1"}, "KIE_MCP_OIDC_ISSUER has a query"),
        ({"oidc_client_secret": SecretStr("x")}, "KIE_MCP_OIDC_CLIENT_ID"),
        ({"http_token": SecretStr("a long random text")}, "KIE_MCP_HTTP_TOKEN"),
        ({"caller_keys": True}, "KIE_MCP_CALLER_KEYS"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(
    settings: Settings, changed: dict[str, object], named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named) as refused:
        build(settings, **changed)
    assert refused.value.next_step


@pytest.mark.parametrize("public_url", ["https://kie.example", "https://kie.example/"])
def test_the_redirect_uri_in_the_refusal_is_the_one_that_is_used(settings: Settings, public_url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        build(settings, public_url=Settings(public_url=public_url).public_url, account_keys="person")
    assert refused.value.next_step.endswith(" https://kie.example/account/callback.")


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"public_url": "http://localhost:1"},
        {"public_url": "http://localhost:1", "oidc_issuer": "http://login.localhost:2"},
        {"oidc_client_id": "x", "oidc_client_secret": SecretStr("y")},
    ],
)
def test_an_address_that_others_can_reach_needs_no_token_besides(
    settings: Settings, changed: dict[str, object]
) -> None:
    assert build(settings, **changed)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("public_url", "host", "code"),
    [
        ("https://kie.example", "kie.example", 303),
        ("https://kie.example", "KIE.example:443", 303),
        ("http://[::1]:8765", "[::1]:8765", 303),
        ("https://[2001:db8::5]", "[2001:db8::5]", 303),
        ("https://bücher.example", "xn--bcher-kva.example", 303),
        ("https://kie.example", "localhost", 421),
        ("https://kie.example", "kie.example.evil.example", 421),
        ("https://kie.example", "kie.example:evil.example", 421),
        ("https://kie.example", "kie.example:443@evil.example", 421),
        ("https://[2001:db8::5]", "[2001:db8::6]", 421),
        ("https://[2001:db8::5]", "2001:db8::5", 421),
        ("https://[2001:db8::5]", "[2001", 421),
        ("https://kie.example", "", 421),
    ],
)
async def test_the_account_page_is_opened_by_the_public_address_alone(
    settings: Settings, public_url: str, host: str, code: int
) -> None:
    known = {"public_url": Settings(public_url=public_url).public_url, "oidc_client_id": "kie-mcp"}
    app = App(settings.model_copy(update=GOOD | known), local_files=False, clock=JumpingClock())
    transport = httpx2.ASGITransport(build_http_app(app, host="0.0.0.0"))
    async with httpx2.AsyncClient(transport=transport, base_url="http://kie.example") as browser:
        assert (await browser.get("/account", headers={"Host": host})).status_code == code


def test_the_logout_at_the_provider_keeps_the_query_of_its_address() -> None:
    address = add_client_id("https://login.example/logout?p=b2c_1_in&x=a%20b", "me & you")
    assert dict(httpx2.URL(address).params) == {"p": "b2c_1_in", "x": "a b", "client_id": "me & you"}


@needs_provider
def test_the_command_serves_accounts_and_says_where_callers_log_in(settings: Settings, issuer: str) -> None:
    known = {"KIE_MCP_SANDBOX": "1", "KIE_MCP_DATA_DIR": str(settings.data_dir), "KIE_MCP_OIDC_ISSUER": issuer}
    told: list[str] = []
    public = "http://127.0.0.1:8765"
    with serve_and_record(told, "serve", "--http", "--port", "0", **known, KIE_MCP_PUBLIC_URL=public) as url:
        assert f"Callers log in at {issuer}" in told[0]
        refused = httpx2.post(url)
        assert refused.status_code == 401
        assert f"{public}/.well-known/oauth-protected-resource/mcp" in refused.headers["www-authenticate"]
    assert not (settings.data_dir / "http-token").exists()


def test_the_command_refuses_what_does_not_fit(settings: Settings) -> None:
    given = {"KIE_MCP_SANDBOX": "1", "KIE_MCP_OIDC_ISSUER": "https://login.example"}
    for more in ((), ("--no-token",)):
        ran = run_command("serve", "--http", "--port", "0", *more, cwd=settings.output_dir.parent, **given)
        assert ran.returncode == 2
        assert "KIE_MCP_OIDC_ISSUER" in ran.stderr
        assert "Traceback" not in ran.stderr
