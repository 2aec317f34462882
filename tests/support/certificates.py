"""The certificates that HTTP clients trust: in tests nobody's, as each client takes 20 ms to load the machine's."""

import os
from pathlib import Path

NOBODY = Path(__file__).with_name("nobody.pem")
"""The certificate of an authority whose key nobody has; some HTTP clients do not start without a certificate."""
OF_MACHINE = {name: f"OF_MACHINE_{name}" for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
"""For each environment variable, the name of the one that keeps its value."""


def trust_nobody() -> None:
    """Let HTTP clients of this process, and of those that it starts, trust no server on the internet."""
    for name, kept in OF_MACHINE.items():
        if name in os.environ:
            os.environ[kept] = os.environ.pop(name)
    os.environ["SSL_CERT_FILE"] = str(NOBODY)


def find_environment_of_machine() -> dict[str, str]:
    """Return the environment for a program that downloads something from the internet."""
    others = {name: value for name, value in os.environ.items() if name not in OF_MACHINE}
    return others | {name: os.environ[kept] for name, kept in OF_MACHINE.items() if kept in os.environ}
