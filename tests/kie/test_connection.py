"""The HTTP client: what of the environment cannot be used."""

from pathlib import Path

import pytest

from kie_mcp.errors import ConfigurationError
from kie_mcp.kie.connection import open_http, preload_certificates

pytestmark = pytest.mark.anyio


async def test_certificates_that_cannot_be_read_are_told_when_the_client_is_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    await preload_certificates()
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE or SSL_CERT_DIR names cannot be read"):
        open_http()
