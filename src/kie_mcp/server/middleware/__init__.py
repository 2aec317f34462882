"""ASGI middleware of the HTTP transport; each module has one middleware class."""
