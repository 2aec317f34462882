"""The sandbox: a fake KIE inside this process, for tests and for trying the server without an API key."""
