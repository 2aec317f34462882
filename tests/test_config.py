import os
from pathlib import Path

import pytest

from kie_mcp.config import Settings, load
from kie_mcp.errors import ConfigurationError

KEY = "0123456789abcdef"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is set, and home is empty."""
    for name in list(os.environ):
        if name.startswith(("KIE_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_without_any_variable_everything_has_a_value(tmp_path: Path) -> None:
    settings = load()
    assert settings.base_url == "https://api.kie.ai"
    assert settings.upload_url == "https://kieai.redpandaai.co"
    assert (settings.route, settings.callback_url, settings.save, settings.sandbox) == ("documented", "", True, False)
    assert settings.data_dir.is_relative_to(tmp_path)
    assert settings.output_dir.name == "kie-mcp"
    assert settings.http_token is None


@pytest.mark.parametrize("name", ["KIE_API_KEY", "KIE_AI_API_KEY"])
@pytest.mark.parametrize("value", [KEY, f"{KEY}\n", f"  {KEY}\t"])
def test_the_key_comes_from_the_environment(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert load().key == KEY


def test_kies_own_name_for_the_key_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIE_API_KEY", KEY)
    monkeypatch.setenv("KIE_AI_API_KEY", "other")
    assert load().key == KEY


@pytest.mark.parametrize("content", [KEY, f"{KEY}\n", f"\ufeff{KEY}\r\n"])
def test_the_key_comes_from_a_file(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text(content, encoding="utf-8")
    monkeypatch.setenv("KIE_API_KEY_FILE", "~/key")
    assert load().key == KEY


@pytest.mark.parametrize("value", ["", " \n"])
def test_a_key_that_is_empty_is_looked_for_in_the_file(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text(KEY)
    monkeypatch.setenv("KIE_API_KEY", value)
    monkeypatch.setenv("KIE_API_KEY_FILE", str(tmp_path / "key"))
    assert load().key == KEY


def test_the_environments_key_goes_before_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIE_API_KEY", KEY)
    monkeypatch.setenv("KIE_API_KEY_FILE", str(tmp_path / "missing"))
    assert load().key == KEY


def test_a_missing_key_says_how_to_set_one() -> None:
    with pytest.raises(ConfigurationError, match="is set") as raised:
        _ = load().key
    for words in ("KIE_API_KEY", "KIE_API_KEY_FILE", "KIE_MCP_SANDBOX", "https://kie.ai/api-key", "restart"):
        assert words in raised.value.next_step


@pytest.mark.parametrize("name", ["missing", ".", "~nobody-of-that-name/key"])
def test_a_key_file_that_cannot_be_read_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KIE_API_KEY_FILE", name)
    with pytest.raises(ConfigurationError, match=r"KIE_API_KEY_FILE cannot be read: (No such|Is a dir)"):
        _ = load().key


def test_an_empty_key_file_holds_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").touch()
    monkeypatch.setenv("KIE_API_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(ConfigurationError, match="is set"):
        _ = load().key


@pytest.mark.parametrize("key", ["abc\ndef", "abc\r\nX-Evil: 1", "abc def", "schlüssel", "abc\x7f", "鍵"])
def test_a_key_that_cannot_be_one_is_refused_and_not_repeated(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIE_API_KEY", key)
    with pytest.raises(ConfigurationError, match="characters that no key has") as raised:
        _ = load().key
    assert key not in f"{raised.value!r} {raised.value.as_dict()}"


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (f'"{KEY}"', "quotes"),
        (f"'{KEY}'", "quotes"),
        (f"`{KEY}", "quotes"),
        (f"Bearer {KEY}", "Bearer"),
        (f"bearer  {KEY}", "Bearer"),
        (f"Authorization: Bearer {KEY}", "Bearer"),
        (f"KIE_API_KEY={KEY}", "name of the variable"),
        (f"export KIE_API_KEY = {KEY}", "name of the variable"),
        *(
            (placeholder, "placeholder")
            for placeholder in (
                "${KIE_API_KEY}",
                "${input:kie-key}",
                "${env:KIE_API_KEY}",
                "$KIE_API_KEY",
                "$(cat key)",
                "%KIE_API_KEY%",
                "{{kie_key}}",
                "your-key",
                "YOUR_API_KEY",
                "your key here",
                "my-kie-key",
                "<your-key>",
                "[key]",
                "kie-api-key",
                "sk-your-api-key",
                "xxxxxxxx",
                "...",
                "changeme",
                "null",
            )
        ),
    ],
)
@pytest.mark.parametrize("in_file", [False, True])
def test_a_key_that_was_not_filled_in_rightly_is_told(
    key: str, says: str, in_file: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if in_file:
        (tmp_path / "key").write_text(key)
        monkeypatch.setenv("KIE_API_KEY_FILE", "~/key")
    else:
        monkeypatch.setenv("KIE_API_KEY", key)
    with pytest.raises(ConfigurationError, match=says) as raised:
        _ = load().key
    assert KEY not in f"{raised.value!r} {raised.value.as_dict()}"


@pytest.mark.parametrize("key", [KEY, KEY * 2, "sandbox", "sk-0a1b2c", "Zm9v.YmFy_-+/==", "mykonos0", "bearerless"])
def test_a_key_that_may_be_one_is_taken(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIE_API_KEY", key)
    assert load().key == key


@pytest.mark.parametrize("content", [KEY.encode("utf-16"), b"\x89PNG\r\n\xff\xfe", b"-----BEGIN\nKEY-----\n"])
def test_a_file_that_holds_something_else_is_refused(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_bytes(content)
    monkeypatch.setenv("KIE_API_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(ConfigurationError, match="or its file, holds characters"):
        _ = load().key


def test_the_sandbox_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIE_MCP_SANDBOX", "1")
    assert load().key == "sandbox"


def test_the_sandbox_has_a_ledger_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KIE_MCP_DATA_DIR", str(tmp_path))
    assert load().state_dir == tmp_path
    monkeypatch.setenv("KIE_MCP_SANDBOX", "1")
    assert load().state_dir == load().sandbox_dir == tmp_path / "sandbox"
    assert load().live_dir == tmp_path / "sandbox" / "live"


def test_a_sandbox_with_more_models_does_not_share_its_list_of_models(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KIE_MCP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("KIE_MCP_SANDBOX_LEGACY", "1")
    assert load().live_dir == tmp_path / "live"
    monkeypatch.setenv("KIE_MCP_SANDBOX", "1")
    assert load().live_dir == tmp_path / "sandbox" / "live-legacy"


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIE_API_KEY", KEY)
    monkeypatch.setenv("KIE_MCP_HTTP_TOKEN", "let-me-in")
    settings = load()
    for shown in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert KEY not in shown
        assert "let-me-in" not in shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KIE_MCP_ROUTE", "suno"),
        ("KIE_MCP_WAIT_SECONDS", "soon"),
        ("KIE_MCP_WAIT_SECONDS", "-1"),
        ("KIE_MCP_WAIT_SECONDS", "601"),
        ("KIE_MCP_WAIT_SECONDS", "nan"),
        ("KIE_MCP_SANDBOX_SECONDS", "inf"),
        ("KIE_MCP_SANDBOX_CREDITS", "-1"),
        ("KIE_MCP_SANDBOX_CREDITS", "inf"),
        ("KIE_MCP_SANDBOX_LEGACY", "sora"),
        ("KIE_MCP_SANDBOX", "perhaps"),
        ("KIE_MCP_SAVE", "2"),
        ("KIE_MCP_BASE_URL", "api.kie.ai"),
        ("KIE_MCP_BASE_URL", "ftp://api.kie.ai"),
        ("KIE_MCP_UPLOAD_URL", "https://"),
        ("KIE_MCP_CALLBACK_URL", "hooks.example"),
        ("KIE_MCP_CALLBACK_URL", "${CALLBACK_URL}"),
        ("KIE_MCP_WEBHOOK_KEY", "your-webhook-key"),
        ("KIE_MCP_CALLBACK_SECRET", "change-me"),
        ("KIE_MCP_PUBLIC_URL", "me.example"),
        ("KIE_MCP_PUBLIC_URL", "https://1.2.3.4.5"),
        ("KIE_MCP_HTTP_TOKEN", "${HTTP_TOKEN}"),
        ("KIE_MCP_HTTP_TOKEN", "your-token"),
        ("KIE_MCP_HTTP_TOKEN", "your-token\n"),
        ("KIE_MCP_HTTP_TOKEN", " \n"),
    ],
)
def test_a_wrong_value_is_refused_by_the_variables_name(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"{name}: ") as raised:
        load()
    assert raised.value.next_step


@pytest.mark.parametrize("value", ["let me in\n", " let me in\t"])
def test_blanks_around_the_token_are_left_out(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIE_MCP_HTTP_TOKEN", value)
    token = load().http_token
    assert token
    assert token.get_secret_value() == "let me in"


def test_all_wrong_values_are_named_at_once_and_none_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIE_MCP_ROUTE", "hush-hush")
    monkeypatch.setenv("KIE_MCP_WAIT_SECONDS", "hush-hush")
    with pytest.raises(ConfigurationError) as raised:
        load()
    assert "KIE_MCP_ROUTE: " in str(raised.value)
    assert "KIE_MCP_WAIT_SECONDS: " in str(raised.value)
    assert "hush" not in str(raised.value)


def test_what_is_set_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ROUTE": "service",
        "BASE_URL": "http://127.0.0.1:8000",
        "UPLOAD_URL": "https://files.example/",
        "CALLBACK_URL": "https://hooks.example/kie",
        "DATA_DIR": "~/data",
        "OUTPUT_DIR": str(tmp_path / "out"),
        "SAVE": "false",
        "WAIT_SECONDS": "0",
        "SANDBOX_SECONDS": "0.5",
        "SANDBOX_CREDITS": "50000",
        "SANDBOX_LEGACY": "1",
        "LINKS": "1",
    }.items():
        monkeypatch.setenv(f"KIE_MCP_{name}", value)
    settings = load()
    assert settings.route == "service"
    assert (settings.base_url, settings.upload_url) == ("http://127.0.0.1:8000", "https://files.example/")
    assert settings.callback_url == "https://hooks.example/kie"
    assert (settings.data_dir, settings.output_dir) == (tmp_path / "data", tmp_path / "out")
    assert (settings.save, settings.wait_seconds, settings.sandbox_seconds) == (False, 0, 0.5)
    assert (settings.sandbox_credits, settings.sandbox_legacy, settings.links) == (50_000, True, True)


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients pass on `${KIE_MCP_ROUTE}` as nothing when it is not set."""
    for name in Settings.model_fields:
        monkeypatch.setenv(f"KIE_MCP_{name.upper()}", "")
    for name in ("KIE_API_KEY", "KIE_API_KEY_FILE"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("KIE_AI_API_KEY", KEY)
    settings = load()
    assert settings.key == KEY
    assert settings.model_copy(update={"api_key": None}) == Settings().model_copy(update={"api_key": None})
    assert (settings.read_dirs, settings.http_token, settings.wait_seconds) == ((), None, None)
    assert settings.data_dir.is_absolute()


@pytest.mark.parametrize(
    ("value", "folders"),
    [
        ("/a", ["/a"]),
        (f"/a{os.pathsep}/b c", ["/a", "/b c"]),
        (f"{os.pathsep}/a{os.pathsep}{os.pathsep}/b{os.pathsep}", ["/a", "/b"]),
        ("~/é", ["{home}/é"]),
        ('["/a"]', ['["/a"]']),
    ],
)
def test_folders_to_read_from_are_separated_as_in_path(
    value: str, folders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KIE_MCP_READ_DIRS", value)
    assert load().read_dirs == tuple(Path(each.format(home=tmp_path)) for each in folders)


FOLDERS = [
    ("${HOME}/a", "{home}/a"),
    ("$HOME/a", "{home}/a"),
    ("${env:HOME}/a", "{home}/a"),
    ("%USERPROFILE%/a", "{home}/a"),
    ('"{home}/a b"', "{home}/a b"),
    ("'~/a'", "{home}/a"),
    (" ~/a ", "{home}/a"),
    ("/100%/a$/b", "/100%/a$/b"),
]
UNKNOWN_FOLDERS = [
    "${workspaceFolder}/a",
    "${workspaceFolder}",
    "$NOWHERE/a",
    "%NOWHERE%/a",
    "${env:NOWHERE}",
    "${a.b}/c",
    "$(pwd)/a",
    "`pwd`/a",
    "{{home}}/a",
    "<folder>/a",
]


@pytest.mark.parametrize("name", ["OUTPUT_DIR", "DATA_DIR", "READ_DIRS"])
@pytest.mark.parametrize(("given", "meant"), FOLDERS)
def test_a_folder_is_read_as_a_shell_or_an_editor_would_fill_it_in(
    name: str, given: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv(f"KIE_MCP_{name}", given.replace("{home}", str(tmp_path)))
    folder = Path(meant.format(home=tmp_path))
    assert getattr(load(), name.lower()) == ((folder,) if name == "READ_DIRS" else folder)


@pytest.mark.parametrize("name", ["OUTPUT_DIR", "DATA_DIR", "READ_DIRS", "KEY_FILE"])
@pytest.mark.parametrize("given", UNKNOWN_FOLDERS)
def test_a_folder_with_something_that_nobody_fills_in_is_refused(
    name: str, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = "KIE_API_KEY_FILE" if name == "KEY_FILE" else f"KIE_MCP_{name}"
    monkeypatch.setenv(variable, given)
    with pytest.raises(ConfigurationError, match=f"^Settings are wrong: {variable}: ") as raised:
        load()
    assert given.partition("/")[0] in str(raised.value)


@pytest.mark.parametrize("given", ['""', "''", '" "'])
def test_a_folder_without_a_name_is_not_the_working_folder(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIE_MCP_OUTPUT_DIR", given)
    with pytest.raises(ConfigurationError, match="KIE_MCP_OUTPUT_DIR: it names no folder"):
        load()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("KIE_MCP_MAX_CREDITS_PER_DAYS", "KIE_MCP_MAX_CREDITS_PER_DAY"),
        ("KIE_MCP_API_KEY", "KIE_API_KEY"),
        ("kie_mcp_sanbox", "KIE_MCP_SANDBOX"),
        ("KIE_MCP_ZZZZZZZZZZZZZZZZ", ""),
    ],
)
def test_a_setting_that_there_is_not_is_told(name: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "hush-hush")
    with pytest.raises(ConfigurationError) as raised:
        load()
    assert f"{name}: there is no such setting" in str(raised.value)
    assert ("did you mean" in str(raised.value)) == bool(meant)
    assert meant in str(raised.value)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("budget_claim", " kie_credits_per_day "),
        ("account_keys", "person"),
        ("oidc_audience", "https://kie.example/mcp"),
        ("oidc_client_id", "kie-mcp"),
    ],
)
def test_a_setting_about_people_needs_a_provider_at_which_they_log_in(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = f"KIE_MCP_{name.upper()}"
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=f"{variable}: needs KIE_MCP_OIDC_ISSUER"):
        load()
    monkeypatch.setenv("KIE_MCP_OIDC_ISSUER", "https://login.example")
    assert getattr(load(), name) == value.strip()


def test_without_a_provider_the_key_may_be_called_the_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIE_MCP_ACCOUNT_KEYS", "operator")
    assert load().account_keys == "operator"


def test_folders_can_be_given_as_they_are() -> None:
    assert Settings(read_dirs=(Path("/a"), Path("/b"))).read_dirs == (Path("/a"), Path("/b"))


def test_files_may_come_from_here_from_the_users_media_and_from_what_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(output_dir=tmp_path / "out", read_dirs=(tmp_path / "more",))
    assert settings.found_dirs["the working folder"] == tmp_path
    assert settings.found_dirs["the output folder"] == tmp_path / "out"
    assert settings.read_dirs == (tmp_path / "more",)
    names = {folder.name for folder in settings.found_dirs.values()}
    assert {"Pictures", "Videos", "Music", "Downloads", "Desktop"} <= names


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("KIE_MCP_MAX_CREDITS_PER_DAYS", "KIE_MCP_MAX_CREDITS_PER_DAY"),
        ("KIE_MAX_CREDITS_PER_DAY", "KIE_MCP_MAX_CREDITS_PER_DAY"),
        ("kie_max_credits_per_task", "KIE_MCP_MAX_CREDITS_PER_TASK"),
        ("KIE_AI_MAX_CREDITS_PER_SESSION", "KIE_MCP_MAX_CREDITS_PER_SESSION"),
        ("KIEMCP_MAX_CREDITS_PER_DAY", "KIE_MCP_MAX_CREDITS_PER_DAY"),
        ("KIE_MPC_MAX_CREDITS_PER_DAY", "KIE_MCP_MAX_CREDITS_PER_DAY"),
        ("KIE_MCPMAX_CREDIT_PER_DAY", "KIE_MCP_MAX_CREDITS_PER_DAY"),
        ("KIE_CONFIRM_ABOVE", "KIE_MCP_CONFIRM_ABOVE"),
        ("KIE_MCP_CONFIRM_HOUR", "KIE_MCP_CONFIRM_HOURLY"),
        ("KIE_REPEAT_WINDOW", "KIE_MCP_REPEAT_WINDOW"),
        ("KIE_SANDBOX", "KIE_MCP_SANDBOX"),
        ("KIE_BUDGET_CLAIMS", "KIE_MCP_BUDGET_CLAIM"),
        ("KIE_MCP_DAILY_CAP", "KIE_MCP_MAX_CREDITS_PER_DAY"),
        ("KIE_DAILY_CAP", "KIE_MCP_MAX_CREDITS_PER_DAY"),
        ("KIE_SPEND_LIMIT", "KIE_MCP_MAX_CREDITS_PER_DAY"),
        ("KIE_MAX_CREDITS", "KIE_MCP_MAX_CREDITS_PER_DAY"),
        ("KIE_MCP_SESSION_BUDGET", "KIE_MCP_MAX_CREDITS_PER_SESSION"),
        ("KIE_AI_CREDIT_LIMIT_PER_TASK", "KIE_MCP_MAX_CREDITS_PER_TASK"),
    ],
)
def test_a_name_near_that_of_a_limit_is_refused_with_the_right_name(
    name: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(ConfigurationError, match=f"{name}: there is no such setting, did you mean {meant}\\?"):
        load()


@pytest.mark.parametrize(
    "name",
    [
        *("KIE_BASE_URL", "KIE_AI_BASE_URL", "KIE_CALLBACK_URL", "KIE_AI_CALLBACK_URL", "KIE_AI_TIMEOUT", "KIE_MODEL"),
        *("KIE_AI_DB_PATH", "KIE_OUTPUT_DIR", "KIE_API_TOKEN", "KIE_SERVER_CONTROLLER", "KIE", "KIEL_PORT"),
        *("KIE_RATE_LIMIT", "KIE_MAX_AGE_DAYS", "KIE_CAPTURE", "KIE_CREDITS"),
    ],
)
def test_other_programs_variables_are_left_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    assert load() == Settings()


@pytest.mark.parametrize(
    ("name", "meant"),
    [("KIE_APIKEY", "KIE_API_KEY"), ("KIEAI_API_KEY", "KIE_AI_API_KEY"), ("KIE_API_KEY_FLIE", "KIE_API_KEY_FILE")],
)
def test_a_name_near_that_of_the_key_is_told_if_there_is_no_key(
    name: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, KEY)
    with pytest.raises(ConfigurationError, match=f"{name} is no setting, did you mean {meant}\\?") as raised:
        _ = load().key
    assert KEY not in str(raised.value)
    monkeypatch.setenv("KIE_API_KEY", KEY)
    assert load().key == KEY


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "https://a host", "https://:443", "https://kie:0"])
def test_an_address_that_no_server_can_have_is_a_wrong_setting(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIE_MCP_BASE_URL", url)
    with pytest.raises(ConfigurationError, match="KIE_MCP_BASE_URL"):
        load()


def test_wrong_and_misspelt_settings_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIE_MCP_SAVE", "perhaps")
    monkeypatch.setenv("KIE_MCP_SAVES", "1")
    with pytest.raises(ConfigurationError, match=r"KIE_MCP_SAVES: .*KIE_MCP_SAVE\?; KIE_MCP_SAVE: "):
        load()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://kie:secret@host/ledger", "must be like postgresql://"),
        ("secret", "must be like postgresql://"),
        ("postgresql://", "must be like postgresql://"),
        ("postgresql://kie:secr@et@host/ledger", "%40"),
        ("postgresql://kie:secr#et@host/ledger", "%23"),
    ],
)
def test_a_wrong_url_of_a_database_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str, reason: str
) -> None:
    monkeypatch.setenv("KIE_MCP_DATABASE_URL", url)
    with pytest.raises(ConfigurationError, match=reason) as caught:
        load()
    assert "KIE_MCP_DATABASE_URL" in caught.value.message
    assert "secr" not in caught.value.message


def test_the_url_of_a_database_is_a_secret_and_the_sandbox_has_a_schema_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KIE_MCP_DATABASE_URL", " postgres://kie:secret@host/ledger ")
    settings = load()
    assert "kie:secret" not in repr(settings)
    assert settings.ledger_url == "postgres://kie:secret@host/ledger"
    assert settings.ledger_schema == "kie_mcp"
    assert settings.model_copy(update={"sandbox": True}).ledger_schema == "kie_mcp_sandbox"
    assert Settings(database_url=None).ledger_url == ""


@pytest.mark.parametrize(
    ("given", "spelled"),
    [
        ("https://me.example/", "https://me.example"),
        ("https://ME.example/Kie/", "https://me.example/Kie"),
        ("https://me.example:443", "https://me.example"),
        ("http://me.example:80/kie", "http://me.example/kie"),
        ("https://me.example:8443", "https://me.example:8443"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("http://[2001:DB8:0:0::5]:8765", "http://[2001:db8::5]:8765"),
    ],
)
def test_the_public_address_is_spelled_as_clients_and_browsers_spell_it(given: str, spelled: str) -> None:
    assert Settings(public_url=given).public_url == spelled


def test_kie_calls_only_one_receiver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIE_MCP_PUBLIC_URL", "https://me.example/kie")
    assert load().public_url == "https://me.example/kie"
    monkeypatch.setenv("KIE_MCP_CALLBACK_URL", "https://hooks.example/kie")
    with pytest.raises(ConfigurationError, match="KIE_MCP_PUBLIC_URL: KIE calls only one address"):
        load()


@pytest.mark.parametrize("address", ["s3://media", "s3://media/", "s3://my-bucket.example/kie/results", "s3://b2c/a_b"])
def test_a_bucket_may_have_a_prefix(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("KIE_MCP_STORAGE", address)
    assert load().storage == address


@pytest.mark.parametrize(
    "address", ["media", "/media", "s3://", "s3:///kie", "gs://media", "s3://media/a b", "s3://M/x"]
)
def test_what_names_no_bucket_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("KIE_MCP_STORAGE", address)
    with pytest.raises(ConfigurationError, match="KIE_MCP_STORAGE"):
        load()


@pytest.mark.parametrize("hours", ["0", "169", "-1", "nan"])
def test_links_work_for_no_time_that_s3_does_not_take(monkeypatch: pytest.MonkeyPatch, hours: str) -> None:
    monkeypatch.setenv("KIE_MCP_LINK_HOURS", hours)
    with pytest.raises(ConfigurationError, match="KIE_MCP_LINK_HOURS"):
        load()
