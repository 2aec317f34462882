"""`kie-mcp doctor`: check whether kie-mcp works on this machine, and say how to repair what does not."""
