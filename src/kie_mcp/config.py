"""Settings from environment variables; all their names start with KIE_MCP_, except those for the API key."""

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


# MCP clients do not expand `~` in environment variables. Path.expanduser is not used, because it raises RuntimeError
# when the home folder of a user is unknown.
ExpandedPath = Annotated[Path, AfterValidator(lambda path: Path(os.path.expanduser(path)))]  # noqa: PTH111
Credits = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/]")]


class Settings(BaseSettings):
    """The settings of one server process, each from an environment variable."""

    model_config = SettingsConfigDict(env_prefix="KIE_MCP_", env_ignore_empty=True, extra="ignore", frozen=True)

    api_key: SecretStr | None = Field(None, validation_alias=AliasChoices("KIE_API_KEY", "KIE_AI_API_KEY"))
    """KIE's API key, sent as a bearer token."""
    api_key_file: ExpandedPath | None = Field(None, validation_alias="KIE_API_KEY_FILE")
    """Path of a file that contains the API key, for users who do not want the key in an environment variable."""
    base_url: Url = "https://api.kie.ai"
    upload_url: Url = "https://kieai.redpandaai.co"
    tools: str = "standard"
    """Tools in the tool list: `standard`, `compact`, `all`, or a list of tools and kinds of results with commas."""
    prefix: str = ""
    """A word to put before the names of all tools, if the MCP host adds none: `kie` makes `kie_get_task`."""
    route: Literal["documented", "service"] = "documented"
    """Which of KIE's routes to use: those of the documented API, or (`service`) those of KIE's model list."""
    callback_url: Url | Literal[""] = ""
    """URL that KIE calls when a task has ended, for operators who run a receiver; empty for no callback."""
    data_dir: ExpandedPath = Field(default_factory=lambda: platformdirs.user_data_path("kie-mcp", appauthor=False))
    """Folder of the ledger; the ledger of the sandbox is in the subfolder `sandbox`."""
    output_dir: ExpandedPath = Field(default_factory=lambda: platformdirs.user_downloads_path() / "kie-mcp")
    """Folder to which the results of tasks are downloaded."""
    save: bool = True
    """Whether the results of tasks are downloaded to `output_dir`."""
    read_dirs: Annotated[tuple[ExpandedPath, ...], NoDecode] = ()
    """More folders from which kie-mcp may read local files; their paths are separated as in PATH."""
    wait_seconds: float = Field(40, ge=0, le=600, allow_inf_nan=False)
    """Longest time that a tool call waits for a picture, a voice or lyrics, in seconds."""
    repeat_window: float = Field(600, ge=0, allow_inf_nan=False)
    """Seconds for which a repeated call returns the first call's task; a task that still runs is always returned."""
    max_credits_per_task: Credits | None = None
    max_credits_per_day: Credits | None = None
    """Most credits that all server processes with this ledger together may spend in 24 hours; None for no limit."""
    max_credits_per_session: Credits | None = None
    """Most credits that this server process may spend from its start to its end; None for no limit."""
    usd_per_credit: Credits = 0.005
    """Price of one credit in US dollars, to show dollars beside credits; 0 means that no dollars are shown."""
    confirm_above: Credits = 150
    """If a task may cost more credits than this number, a person has to confirm the cost first."""
    http_token: SecretStr | None = None
    """Bearer token that clients have to send when MCP is served over HTTP; None if they need none."""
    sandbox: bool = False
    """Whether to use the sandbox, a simulation of KIE inside kie-mcp, instead of the real KIE."""
    sandbox_seconds: float = Field(2, ge=0, allow_inf_nan=False)
    """Seconds that a task takes in the sandbox."""
    sandbox_credits: Credits = 1000
    """Balance of a new sandbox, in credits."""
    sandbox_legacy: bool = False
    """Whether the sandbox also has the models that KIE no longer documents."""

    @field_validator("read_dirs", mode="before")
    @classmethod
    def _split_paths(cls, value: object) -> object:
        return [path for path in value.split(os.pathsep) if path] if isinstance(value, str) else value

    @property
    def key(self) -> str:
        """KIE's API key.

        Raises:
            ConfigurationError: When there is no valid key, or when the file with the key cannot be read.
        """
        if self.sandbox:
            return "sandbox"
        key = self.api_key.get_secret_value().strip() if self.api_key else ""
        if not key and self.api_key_file:
            try:
                # The encoding utf-8-sig removes the byte order mark that Notepad writes. If the file is not a text, it
                # gives characters that are not allowed in a key, so the last check below raises an error.
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
        """Folder of the ledger and of the discovery cache; with the sandbox, it is the sandbox's own folder."""
        return self.sandbox_dir if self.sandbox else self.data_dir

    @property
    def sandbox_dir(self) -> Path:
        """Folder of the sandbox's ledger, and of the tasks that the simulated KIE stores."""
        return self.data_dir / "sandbox"

    @property
    def live_dir(self) -> Path:
        """Folder of the discovery cache; a sandbox with undocumented models has its own, as its list is longer."""
        return self.state_dir / ("live-legacy" if self.sandbox and self.sandbox_legacy else "live")

    @property
    def readable_dirs(self) -> tuple[Path, ...]:
        """Folders from which kie-mcp may read local files."""
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
    """Return the environment variable of a setting: `KIE_MCP_SAVE` for `save`; `KIE_API_KEY` is returned unchanged."""
    return name if name.isupper() else f"KIE_MCP_{name.upper()}"
