"""The first answers of the server on stdio, which come from a generated file while the MCP SDK is imported."""
