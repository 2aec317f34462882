"""Read kie-mcp's settings from environment variables; all names start with KIE_MCP_, except those for the API key."""

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self, get_args
from urllib.parse import urlsplit

import platformdirs
from pydantic import AliasChoices, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from kie_mcp.api_key import NO_KEY, PLACEHOLDER, find_key_fault, read_keyring
from kie_mcp.errors import ConfigurationError
from kie_mcp.setting_types import LIST_SEPARATOR, Credits, ExpandedPath, PublicUrl, Url

PREFIX = "KIE_MCP_"
"""Beginning of the names of the environment variables for settings, except those for the API key."""

CAP_SETTINGS = (
    "max_credits_per_task",
    "max_credits_per_day",
    "max_credits_per_session",
    "max_credits_per_day_all",
    "budget_claim",
    "confirm_above",
    "confirm_hourly",
    "repeat_window",
    "sandbox",
)
"""Settings that limit spending. If the name of one is misspelt, `load()` fails, because the limit would be missing."""
CAP_WORDS = re.compile(
    r"(?<![A-Z])(CAPS?|BUDGET|SPEND(ING)?|MAX.*(CREDIT|COST)S?|(CREDITS?|COST|DAILY).*LIMIT)(?![A-Z])"
)
"""Matches words in a name that somebody may give to a cap, such as `DAILY_CAP`."""
MIN_SIMILARITY = 0.75
"""Minimum similarity of two names, from 0 to 1, at which one name counts as a misspelling of the other."""
KEY_FILE = "api-key"
"""Name of the file in the data folder in which `kie-mcp install` stores the API key."""
KEY_NAMES = frozenset({"KIE_API_KEY", "KIE_AI_API_KEY", "KIE_API_KEY_FILE"})


class Settings(BaseSettings):
    """The settings of one server process, each from an environment variable."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    api_key: SecretStr | None = Field(None, validation_alias=AliasChoices("KIE_API_KEY", "KIE_AI_API_KEY"))
    """KIE's API key; kie-mcp sends it to KIE as a bearer token."""
    api_key_file: ExpandedPath | None = Field(None, validation_alias="KIE_API_KEY_FILE")
    """Path of a file with the API key, for users who do not want the key in an environment variable."""
    keyring: bool = False
    """Whether the API key is read from the system's keyring; this needs the package keyring."""
    base_url: Url = "https://api.kie.ai"
    upload_url: Url = "https://kieai.redpandaai.co"
    tools: str = "standard"
    """The tools that clients see: `standard`, `compact`, `all`, or tools and kinds of results, separated by commas."""
    prefix: str = ""
    """A word before the name of each tool: with the prefix `kie`, the tool `get_task` has the name `kie_get_task`."""
    route: Literal["documented", "service"] = "documented"
    """Routes on which models run: those in KIE's documentation (`documented`) or in KIE's model list (`service`)."""
    callback_url: Url | Literal[""] = ""
    """URL of another server of the operator, to which KIE sends the callbacks; empty if there is no such server."""
    public_url: PublicUrl | Literal[""] = ""
    """Public URL of this server, which KIE calls when a task has ended; if empty, tasks are only polled."""
    callback_secret: SecretStr | None = None
    """Secret from which the URLs for KIE's callbacks are derived; if None, the server makes one in `data_dir`."""
    webhook_key: SecretStr | None = None
    """Key with which KIE signs its callbacks (the KIE account shows it); if None, signatures are not checked."""
    data_dir: ExpandedPath = Field(default_factory=lambda: platformdirs.user_data_path("kie-mcp", appauthor=False))
    """Folder that contains the ledger; its subfolder `sandbox` contains the ledger of the sandbox."""
    database_url: SecretStr | None = None
    """URL of a PostgreSQL database for a ledger that several servers share; if None, the ledger is in `data_dir`."""
    output_dir: ExpandedPath = Field(default_factory=lambda: platformdirs.user_downloads_path() / "kie-mcp")
    """Folder to which the results of tasks are downloaded."""
    save: bool = True
    """Whether the results of tasks are downloaded to `output_dir` or `storage`."""
    storage: str = Field("", pattern=r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.-]+)*/?)?$")
    """Bucket and key prefix, as `s3://bucket/prefix`, in which results are saved instead of `output_dir`."""
    link_hours: float = Field(24, gt=0, le=168)
    """Hours for which a link to a result in the bucket works; each answer contains new links."""
    links: bool = False
    """Whether answers contain MCP resource links to saved files; several hosts and frameworks cannot handle them."""
    read_dirs: Annotated[tuple[ExpandedPath, ...], NoDecode] = ()
    """More folders from which kie-mcp may read files; in the environment variable, they are separated as in PATH."""
    keep_metadata: bool = False
    """Whether files are sent to KIE with their metadata, such as the place where a photo was taken."""
    wait_seconds: float | None = Field(None, ge=0, le=600, allow_inf_nan=False)
    """Maximum seconds that a tool call waits; if None, it returns before the client's timeout (see `time_limits`)."""
    repeat_window: float = Field(600, ge=0, allow_inf_nan=False)
    """Seconds in which an equal call returns the first call's task; a running task is returned even after this time."""
    max_credits_per_task: Credits | None = None
    max_credits_per_day: Credits | None = None
    """Maximum credits that all server processes with this ledger may spend in 24 hours; None means no limit."""
    max_credits_per_session: Credits | None = None
    """Maximum number of credits that this server may spend from its start to its end; None means no limit."""
    max_credits_per_day_all: Credits | None = None
    """Maximum credits that all tenants together may spend in 24 hours; None for no limit. Other caps are per tenant."""
    usd_per_credit: Credits = 0.005
    """Price of one credit in US dollars; answers also show costs in dollars, unless this setting is 0."""
    confirm_above: Credits = 150
    """Number of credits above which a person has to confirm the cost of a task before the task starts."""
    confirm_hourly: Credits = 300
    """Maximum credits that tasks may cost in an hour without a person's confirmation; 0 for no limit."""
    http_token: SecretStr | None = None
    """Bearer token that each HTTP client of this server has to send; if None, `serve --http` makes one."""
    caller_keys: bool = False
    """Whether each HTTP caller sends a KIE key of its own, which pays for the calls and identifies the tenant."""
    tenant_secret: SecretStr | None = None
    """Secret for tenants' names, links and logins; all replicas need the same. If None, one is made in `data_dir`."""
    oidc_issuer: Url | Literal[""] = ""
    """URL of the OpenID provider whose access tokens `serve --http` accepts instead of one token for all callers."""
    oidc_audience: str = ""
    """Audience that access tokens must have; if empty, the URL of the MCP endpoint."""
    oidc_client_id: str = ""
    """Id of this server at the OpenID provider."""
    oidc_client_secret: SecretStr | None = None
    """Secret of this server at the OpenID provider; for logins, and to check access tokens that have no signature."""
    budget_claim: str = ""
    """Name of the token claim with a person's daily cap, which replaces `max_credits_per_day`; empty for no claim."""
    account_keys: Literal["operator", "person"] = "operator"
    """Whose KIE key pays for an account's calls: the operator's, or the person's own, which is stored encrypted."""
    encryption_keys: SecretStr | None = None
    """Encryption keys for stored KIE keys: the first one encrypts, all decrypt; if None, one is made in `data_dir`."""
    workers: int = Field(1, ge=1, le=64)
    """Number of processes in which `serve --http` runs; they share one port and one ledger."""
    log_format: Literal["text", "json"] = "text"
    """Format of the log that `serve --http` writes to stderr: lines for people, or JSON objects with more events."""
    metrics_port: int | None = Field(None, ge=1, le=65535)
    """Port at which `serve --http` serves metrics for Prometheus, at `/metrics`; None turns metrics off."""
    traces: bool = False
    """Whether `serve --http` sends traces and metrics to an OpenTelemetry collector, which `OTEL_…` variables name."""
    sandbox: bool = False
    """Whether kie-mcp uses its sandbox, which simulates KIE at no cost, instead of the real KIE."""
    sandbox_seconds: float = Field(2, ge=0, allow_inf_nan=False)
    """Seconds that a task takes in the sandbox."""
    sandbox_credits: Credits = 1000
    """Balance, in credits, with which a new sandbox begins."""
    sandbox_legacy: bool = False
    """Whether the sandbox also has the models that KIE no longer documents."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *sources: PydanticBaseSettingsSource, **named: PydanticBaseSettingsSource
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let pydantic read only arguments and environment variables; its other sources would double the load time."""
        del settings_cls, sources
        return named["init_settings"], named["env_settings"]

    @field_validator("read_dirs", mode="before")
    @classmethod
    def _split_paths(cls, value: object) -> object:
        return [path for path in LIST_SEPARATOR.split(value) if path.strip()] if isinstance(value, str) else value

    @field_validator("public_url")
    @classmethod
    def _check_receivers(cls, value: str, info: ValidationInfo) -> str:
        if value and info.data.get("callback_url"):
            raise ValueError("KIE calls only one address; leave KIE_MCP_CALLBACK_URL out")
        return value

    @field_validator("oidc_audience", "oidc_client_id", "oidc_client_secret", "budget_claim", "account_keys")
    @classmethod
    def _check_provider(cls, value: object, info: ValidationInfo) -> object:
        given = value.strip() if isinstance(value, str) else value
        is_set = given != cls.model_fields[str(info.field_name)].default
        if is_set and info.data.get("oidc_issuer") == "":
            raise ValueError("needs KIE_MCP_OIDC_ISSUER, the OpenID provider at which people log in")
        return given

    @field_validator("http_token", "callback_secret", "webhook_key", "tenant_secret")
    @classmethod
    def _read_token(cls, value: SecretStr | None) -> SecretStr | None:
        # HTTP removes spaces at the start and end of a header. So spaces around the token are removed here, too;
        # otherwise, no caller could send the token.
        token = value.get_secret_value().strip() if value else ""
        if value and not token:
            raise ValueError("is blank; give a long random text")
        if PLACEHOLDER.fullmatch(token):
            raise ValueError("holds a placeholder that nobody has filled in; give a long random text")
        return SecretStr(token) if token else None

    @field_validator("database_url")
    @classmethod
    def _read_database_url(cls, value: SecretStr | None) -> SecretStr | None:
        # Error messages show no part of the URL, because each part may contain the password.
        url = value.get_secret_value().strip() if value else ""
        if not url:
            return None
        scheme, _, rest = url.partition("://")
        if scheme not in ("postgresql", "postgres") or not rest:
            raise ValueError("must be like postgresql://user:password@host:5432/database")
        if "@" in urlsplit(url).netloc.rpartition("@")[0] or "#" in url:
            raise ValueError("has a character in the user or password that must be written as %40 (@) or %23 (#)")
        return SecretStr(url)

    def for_tenant(self, name: str, key: SecretStr | None, callback_secret: SecretStr | None) -> Self:
        """Return the settings of one tenant, which has its own folders and bucket prefix.

        Args:
            name: The tenant's name, which becomes a part of the folders and of the bucket prefix.
            key: The tenant's own KIE key; None to use the operator's key.
            callback_secret: The secret from which the URLs for KIE's callbacks are derived; None for no callbacks.
        """
        folders = {"data_dir": self.data_dir / "tenants" / name, "output_dir": self.output_dir / name}
        bucket = {"storage": f"{self.storage.rstrip('/')}/{name}"} if self.storage else {}
        keys = {"api_key": key, "keyring": False} if key else {"api_key_file": self.key_file}
        return self.model_copy(update={**folders, **bucket, **keys, "callback_secret": callback_secret})

    def find_day_cap(self, *, is_tenant: bool) -> float | None:
        """Return the daily cap, or None for no cap.

        For a tenant, it is `max_credits_per_day`; for a server without tenants, the smaller of the two daily caps.
        """
        caps = [self.max_credits_per_day, None if is_tenant else self.max_credits_per_day_all]
        return min((cap for cap in caps if cap is not None), default=None)

    @property
    def ledger_url(self) -> str:
        """URL of the database that contains the ledger; empty if the ledger is a file in `state_dir`."""
        return self.database_url.get_secret_value() if self.database_url else ""

    @property
    def ledger_schema(self) -> str:
        """Name of the database schema that contains the ledger; the ledger of the sandbox has a schema of its own."""
        return "kie_mcp_sandbox" if self.sandbox else "kie_mcp"

    @property
    def key(self) -> str:
        """KIE's API key, from `api_key`, the keyring or `key_file`; in the sandbox, a fixed text.

        Raises:
            ConfigurationError: When there is no valid key, or when the file with the key cannot be read.
        """
        if self.sandbox:
            return "sandbox"
        key = self.api_key.get_secret_value().strip() if self.api_key else ""
        if not key and self.keyring:
            key = (read_keyring() or "").strip()
        if not key and (file := self.key_file):
            try:
                # The encoding utf-8-sig removes the byte order mark that Notepad writes. If the file is not text, it is
                # decoded to characters that no key has, and find_key_fault() below reports them.
                key = file.read_text(encoding="utf-8-sig", errors="replace").strip()
            except OSError as error:
                name = "KIE_API_KEY_FILE" if self.api_key_file else str(file)
                raise ConfigurationError(f"{name} cannot be read: {error.strerror}.", NO_KEY) from None
        if not key:
            raise ConfigurationError(f"No KIE.ai key is set{_suggest_key_name()}.", NO_KEY)
        if fault := find_key_fault(key):
            raise ConfigurationError(f"KIE_API_KEY, or its file, {fault}.", NO_KEY)
        return key

    @property
    def key_file(self) -> Path | None:
        """Path of the file with the API key: `api_key_file`, or else the file that `kie-mcp install` made, if any."""
        if self.api_key_file:
            return self.api_key_file
        file = self.data_dir / KEY_FILE
        return file if os.path.lexists(file) else None

    @property
    def state_dir(self) -> Path:
        """Folder that contains the ledger and the discovery cache; with the sandbox, it is `sandbox_dir`."""
        return self.sandbox_dir if self.sandbox else self.data_dir

    @property
    def sandbox_dir(self) -> Path:
        """Folder that contains the sandbox's ledger and the tasks that the simulated KIE stores."""
        return self.data_dir / "sandbox"

    @property
    def live_dir(self) -> Path:
        """Folder of the discovery cache; with `sandbox_legacy`, a separate one, as the sandbox then has more models."""
        return self.state_dir / ("live-legacy" if self.sandbox and self.sandbox_legacy else "live")

    @property
    def found_dirs(self) -> dict[str, Path]:
        """Other folders that kie-mcp may read, unless they are private; each key is the folder's name in messages."""
        folders = {
            "the working folder": _find_working_folder(),
            "Pictures": platformdirs.user_pictures_path(),
            "Movies": platformdirs.user_videos_path(),
            "Music": platformdirs.user_music_path(),
            "Downloads": platformdirs.user_downloads_path(),
            "Desktop": platformdirs.user_desktop_path(),
            "the output folder": self.output_dir,
        }
        return {name: folder for name, folder in folders.items() if folder}


def load() -> Settings:
    """Load the settings from the environment variables of this process.

    Raises:
        ConfigurationError: When a variable is misspelt or has an invalid value; the message lists all problems.
    """
    problems = find_misspelt_settings()
    try:
        settings = Settings()
    except ValidationError as error:
        problems += [
            f"{_variable(str(problem['loc'][0]))}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_input=False)
        ]
    else:
        if not problems:
            return settings
    raise ConfigurationError(f"Settings are wrong: {'; '.join(problems)}.", "Mend the server's environment.")


def list_variables() -> list[str]:
    """Return the names of the settings' environment variables that are set and not empty."""
    known = list_names()
    return sorted(name for name, value in os.environ.items() if value and name.upper() in known)


def list_names() -> set[str]:
    """Return the names of the environment variables of all settings."""
    return {_variable(name, field) for name, field in Settings.model_fields.items()} | KEY_NAMES


def list_secret_names() -> set[str]:
    """Return the names of the environment variables of all settings whose values are secret (SecretStr)."""
    fields = Settings.model_fields.items()
    secret = {name: field for name, field in fields if SecretStr in (field.annotation, *get_args(field.annotation))}
    return {_variable(name, field) for name, field in secret.items()} | {"KIE_AI_API_KEY"}


def _find_working_folder() -> Path | None:
    """Return the folder in which this process runs; None if the folder was deleted or may not be read."""
    try:
        return Path.cwd()
    except OSError:
        return None


def find_misspelt_settings(env: Mapping[str, str] = os.environ) -> list[str]:
    """Return an error text for each environment variable that was probably meant as a setting, but is not one.

    A name counts as misspelt if it begins with KIE_MCP_ but is no setting, or if it is similar to one of
    `CAP_SETTINGS` or has `CAP_WORDS`, such as KIE_MAX_CREDITS_PER_DAY or KIE_DAILY_CAP. Variables of other programs,
    such as KIE_BASE_URL, are ignored.

    Without this check, a user who misspells the name of a cap would spend credits without any cap and would not notice.
    """
    known = list_names()
    given = sorted(name for name, value in env.items() if value and name.upper().startswith("KIE"))
    problems = []
    for name in given:
        if name.upper() in known:
            continue
        is_ours = name.upper().startswith(PREFIX)
        near = _find_cap_setting(name.upper()) or (_find_near(name.upper(), known) if is_ours else "")
        if is_ours or near:
            problems.append(f"{name}: there is no such setting{near and f', did you mean {near}?'}")
    return problems


def _suggest_key_name() -> str:
    """Return the end of an error message, which names a misspelt variable of `KEY_NAMES`; empty if there is none."""
    for name, value in os.environ.items():
        near = name.upper().startswith("KIE") and _find_near(name.upper(), KEY_NAMES, MIN_SIMILARITY)
        if value and near and name.upper() not in KEY_NAMES:
            return f"; {name} is no setting, did you mean {near}?"
    return ""


def _find_near(name: str, known: Collection[str], likeness: float = 0.6) -> str:
    """Return the name in `known` that is most similar to a given name; empty if no name is similar enough."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, sorted(known), n=1, cutoff=likeness)), "")


def _find_cap_setting(name: str) -> str:
    """Return the environment variable of the cap that a wrong name probably means; empty if it means none."""
    bare = re.sub(r"^KIE[_-]?((MCP|AI)[_-]?)?", "", name)
    near = _find_near(bare, [setting.upper() for setting in CAP_SETTINGS], MIN_SIMILARITY)
    if not near and CAP_WORDS.search(bare):
        near = f"MAX_CREDITS_PER_{next((each for each in ('TASK', 'SESSION') if each in bare), 'DAY')}"
    return near and f"{PREFIX}{near}"


def _variable(name: str, field: FieldInfo | None = None) -> str:
    """Return the name of a setting's environment variable: `save` -> `KIE_MCP_SAVE`.

    Args:
        name: The name of the setting; a name in capitals is a variable's name already, and is returned unchanged.
        field: The field of the setting in `Settings`; if the field has an alias, the first alias is returned.
    """
    match field and field.validation_alias:
        case AliasChoices(choices=[str(first), *_]):
            return first
        case str(alias):
            return alias
    return name if name.isupper() else f"{PREFIX}{name.upper()}"
