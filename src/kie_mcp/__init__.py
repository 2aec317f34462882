"""MCP server that makes video, images, speech and music with KIE.ai's models."""

__version__ = "0.1.0"
