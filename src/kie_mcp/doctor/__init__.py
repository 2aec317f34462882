"""`kie-mcp doctor`: tell whether kie-mcp works on this machine, and what to do about all that does not."""
