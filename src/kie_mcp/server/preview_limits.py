"""Decide how large a preview may be, from the client's name and capabilities.

Some hosts give pictures to their language model as base64 text. The model cannot see such a picture, and the text fills
the model's context. Therefore, these hosts get smaller previews.
"""

from typing import NamedTuple

from kie_mcp.media import preview
from kie_mcp.server.app import Context
from kie_mcp.server.time_limits import find_client_name

TEXT_SIDE_PX = 128
"""Maximum length of a preview's longer side in pixels, for hosts that give pictures to their model as base64 text."""
TEXT_NOTE = "\nThis is small, because your host seems to give you pictures as text. Open the file, or use size: large."


class PreviewLimits(NamedTuple):
    """The maximum size of the previews for a client."""

    max_bytes: int = preview.MAX_BYTES
    """Maximum size in bytes."""
    max_side_px: int = preview.MAX_SIDE_PX
    """Maximum length of the longer side in pixels."""

    @property
    def note(self) -> str:
        """A line for the agent if the previews are made small for its host; otherwise empty."""
        return TEXT_NOTE if self.max_side_px == TEXT_SIDE_PX else ""


def find_preview_limits(context: Context) -> PreviewLimits:
    """Return the limits of the previews for a client; they do not apply if the caller asks for large previews."""
    return PreviewLimits(max_side_px=TEXT_SIDE_PX) if _makes_text_of_pictures(context) else PreviewLimits()


def _makes_text_of_pictures(context: Context) -> bool:
    """Return whether the client is a host that is known to give pictures to its language model as base64 text.

    Google ADK 2.13.0 has its own client name. AutoGen 0.7.5 and Semantic Kernel 1.45.0 send the name of the Python SDK,
    `mcp`; of all hosts with this name, only these two declare sampling. AutoGen first converts a picture into a larger
    PNG. Semantic Kernel writes the text of a picture twice.
    """
    client, name = context.session.client_params, find_client_name(context)
    samples = client is not None and client.capabilities.sampling is not None
    return name == "google-adk" or (name == "mcp" and samples)
