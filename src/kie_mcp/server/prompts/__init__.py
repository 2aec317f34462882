"""The MCP prompts: their handlers, their texts for the agent, and completions of their arguments."""
