"""Settings from the environment; every name starts with KIE_MCP_, but for the key's own."""

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


# What starts the server passes ~ on as it is. os.path, as Path.expanduser raises RuntimeError for nobody's home.
Place = Annotated[Path, AfterValidator(lambda path: Path(os.path.expanduser(path)))]  # noqa: PTH111
Credits = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/]")]


class Settings(BaseSettings):
    """How this server runs."""

    model_config = SettingsConfigDict(env_prefix="KIE_MCP_", env_ignore_empty=True, extra="ignore", frozen=True)

    api_key: SecretStr | None = Field(None, validation_alias=AliasChoices("KIE_API_KEY", "KIE_AI_API_KEY"))
    """KIE's bearer key."""
    api_key_file: Place | None = Field(None, validation_alias="KIE_API_KEY_FILE")
    """A file that holds the key, where environments are not secret enough."""
    base_url: Url = "https://api.kie.ai"
    upload_url: Url = "https://kieai.redpandaai.co"
    tools: str = "standard"
    """Which tools are shown: `standard`, `compact`, `all`, or a list of tools and kinds."""
    route: Literal["documented", "service"] = "documented"
    """`service` speaks the model list's own pattern instead of KIE's documented API."""
    callback_url: Url | Literal[""] = ""
    """Where KIE reports finished tasks, if a receiver of yours listens there."""
    data_dir: Place = Field(default_factory=lambda: platformdirs.user_data_path("kie-mcp", appauthor=False))
    """Where the ledger is; the sandbox's in a folder of its own there."""
    output_dir: Place = Field(default_factory=lambda: platformdirs.user_downloads_path() / "kie-mcp")
    """Where results are saved."""
    save: bool = True
    """Whether results are saved at all."""
    read_dirs: Annotated[tuple[Place, ...], NoDecode] = ()
    """Further folders that local files may come from, separated as in PATH."""
    wait_seconds: float = Field(40, ge=0, le=600, allow_inf_nan=False)
    """How long a picture, a voice or lyrics are waited for inside the call."""
    repeat_window: float = Field(600, ge=0, allow_inf_nan=False)
    """For how many seconds the same call again is the same task; longer where that is still under way."""
    max_credits_per_task: Credits | None = None
    max_credits_per_day: Credits | None = None
    """In any 24 hours, by all servers on this ledger."""
    max_credits_per_session: Credits | None = None
    """As long as this server runs."""
    confirm_above: Credits = 150
    """Credits of one task above which the user is asked first."""
    http_token: SecretStr | None = None
    """What callers over HTTP have to send as a bearer token."""
    sandbox: bool = False
    """Whether to talk to the built-in KIE instead of the real one."""
    sandbox_seconds: float = Field(2, ge=0, allow_inf_nan=False)
    """How long a task takes there."""

    @field_validator("read_dirs", mode="before")
    @classmethod
    def _split(cls, given: object) -> object:
        return [each for each in given.split(os.pathsep) if each] if isinstance(given, str) else given

    @property
    def key(self) -> str:
        """The key.

        Raises:
            ConfigurationError: When there is none, or its file cannot be read.
        """
        if self.sandbox:
            return "sandbox"
        key = self.api_key.get_secret_value().strip() if self.api_key else ""
        if not key and self.api_key_file:
            try:
                # Notepad begins with a mark; what is no text holds no key, which is said below.
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
        """Where the ledger is, and what was asked of KIE; the sandbox's apart, as nothing is paid there."""
        return self.data_dir / "sandbox" if self.sandbox else self.data_dir

    @property
    def readable(self) -> tuple[Path, ...]:
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
    """The settings of this process.

    Raises:
        ConfigurationError: When a variable has a value that makes no sense.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"{_variable(str(problem['loc'][0]))}: {problem['msg']}" for problem in error.errors(include_input=False)
        )
        raise ConfigurationError(f"Settings are wrong: {wrong}.", "Mend the server's environment.") from None


def _variable(name: str) -> str:
    """The environment's name of a setting; an alias is one already."""
    return name if name.isupper() else f"KIE_MCP_{name.upper()}"
