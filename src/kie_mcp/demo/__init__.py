"""The demo (`kie-mcp demo`): a client runs the server on the sandbox, as an agent would."""
