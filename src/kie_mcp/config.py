"""Settings from environment variables; every name starts with KIE_MCP_, except the API key's."""

import os
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import AfterValidator, AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from kie_mcp.errors import ConfigurationError

NO_KEY = (
    "Get a key at https://kie.ai/api-key and set KIE_API_KEY in the server's environment "
    "(or name a file that holds it in KIE_API_KEY_FILE), then restart the server. "
    "Without a key, KIE_MCP_SANDBOX=1 tries everything on a built-in KIE for free."
)


# MCP clients pass `~` to the server unchanged. os.path.expanduser is used because Path.expanduser raises RuntimeError
# when the home folder of a user is unknown.
ExpandedPath = Annotated[Path, AfterValidator(lambda path: Path(os.path.expanduser(path)))]  # noqa: PTH111
Credits = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/]")]


class Settings(BaseSettings):
    """Settings of one server process."""

    model_config = SettingsConfigDict(env_prefix="KIE_MCP_", env_ignore_empty=True, extra="ignore", frozen=True)

    api_key: SecretStr | None = Field(None, validation_alias=AliasChoices("KIE_API_KEY", "KIE_AI_API_KEY"))
    """KIE's API key, sent as a bearer token."""
    api_key_file: ExpandedPath | None = Field(None, validation_alias="KIE_API_KEY_FILE")
    """A file that holds the API key, where environment variables are not secret enough."""
    base_url: Url = "https://api.kie.ai"
    upload_url: Url = "https://kieai.redpandaai.co"
    tools: str = "standard"
    """Tools that are listed: `standard`, `compact`, `all`, or a list of tools and kinds."""
    route: Literal["documented", "service"] = "documented"
    """`service` uses the routes of KIE's model list instead of KIE's documented API."""
    callback_url: Url | Literal[""] = ""
    """URL that KIE calls when a task has ended, if the operator runs a receiver there."""
    data_dir: ExpandedPath = Field(default_factory=lambda: platformdirs.user_data_path("kie-mcp", appauthor=False))
    """Folder of the ledger; the sandbox's ledger is in a subfolder."""
    output_dir: ExpandedPath = Field(default_factory=lambda: platformdirs.user_downloads_path() / "kie-mcp")
    """Folder that results are downloaded to."""
    save: bool = True
    """Whether results are downloaded."""
    read_dirs: Annotated[tuple[ExpandedPath, ...], NoDecode] = ()
    """Further folders that local files may be read from, separated as in PATH."""
    wait_seconds: float | None = Field(None, ge=0, le=600, allow_inf_nan=False)
    """Most seconds that any tool call waits; None for what the client is known to allow."""
    repeat_window: float = Field(600, ge=0, allow_inf_nan=False)
    """Repeat window: seconds in which a repeated call returns the first call's task; longer while that task runs."""
    max_credits_per_task: Credits | None = None
    max_credits_per_day: Credits | None = None
    """Cap on the credits of the last 24 hours, for all server processes on this ledger together."""
    max_credits_per_session: Credits | None = None
    """Cap on the credits of this server process, from its start to its end."""
    usd_per_credit: Credits = 0.005
    """What one credit costs the user in US dollars, to show beside credits; 0 leaves dollars out."""
    confirm_above: Credits = 150
    """Credits that one task may cost before a person has to confirm the cost."""
    http_token: SecretStr | None = None
    """Bearer token that HTTP clients have to send."""
    sandbox: bool = False
    """Whether to use the sandbox, which is a built-in KIE, instead of the real KIE."""
    sandbox_seconds: float = Field(2, ge=0, allow_inf_nan=False)
    """Seconds that a task takes in the sandbox."""
    sandbox_credits: Credits = 1000
    """Balance of a new sandbox, in credits."""
    sandbox_legacy: bool = False
    """Whether the sandbox offers the models that KIE no longer documents."""

    @field_validator("read_dirs", mode="before")
    @classmethod
    def _split_paths(cls, value: object) -> object:
        return [path for path in value.split(os.pathsep) if path] if isinstance(value, str) else value

    @property
    def key(self) -> str:
        """KIE's API key.

        Raises:
            ConfigurationError: When there is no valid key, or when the key's file cannot be read.
        """
        if self.sandbox:
            return "sandbox"
        key = self.api_key.get_secret_value().strip() if self.api_key else ""
        if not key and self.api_key_file:
            try:
                # Notepad writes a byte order mark, which utf-8-sig drops. A file that is not text gives characters
                # that no key has, so the last check below raises.
                key = self.api_key_file.read_text(encoding="utf-8-sig", errors="replace").strip()
            except OSError as error:
                raise ConfigurationError(f"KIE_API_KEY_FILE cannot be read: {error.strerror}.", NO_KEY) from None
        if not key:
            raise ConfigurationError("No KIE.ai key is set.", NO_KEY)
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigurationError("KIE_API_KEY, or its file, holds characters that no key has.", NO_KEY)
        return key

    @property
    def state_dir(self) -> Path:
        """Folder of the ledger and of the discovery cache; the sandbox, where nothing is paid, has its own folder."""
        return self.sandbox_dir if self.sandbox else self.data_dir

    @property
    def sandbox_dir(self) -> Path:
        """Folder of the sandbox's ledger, and of the tasks that the sandbox keeps."""
        return self.data_dir / "sandbox"

    @property
    def live_dir(self) -> Path:
        """Folder of the discovery cache; a sandbox with more models has a cache of its own."""
        return self.state_dir / ("live-legacy" if self.sandbox and self.sandbox_legacy else "live")

    @property
    def readable_dirs(self) -> tuple[Path, ...]:
        """Folders that local files may be read from."""
        media = (
            platformdirs.user_pictures_path(),
            platformdirs.user_videos_path(),
            platformdirs.user_music_path(),
            platformdirs.user_downloads_path(),
            platformdirs.user_desktop_path(),
        )
        return (Path.cwd(), *media, self.output_dir, *self.read_dirs)


def load() -> Settings:
    """Load the settings from the environment variables of this process.

    Raises:
        ConfigurationError: When a variable has an invalid value.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"{_variable(str(problem['loc'][0]))}: {problem['msg']}" for problem in error.errors(include_input=False)
        )
        raise ConfigurationError(f"Settings are wrong: {wrong}.", "Mend the server's environment.") from None


def _variable(name: str) -> str:
    """Return the name of a setting's environment variable; a name in capitals is already such a name."""
    return name if name.isupper() else f"KIE_MCP_{name.upper()}"
