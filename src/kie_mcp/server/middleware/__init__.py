"""ASGI middleware of the HTTP transport, one module for each."""
