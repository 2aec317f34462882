"""The prompts, what they tell the agent, and completions of their arguments."""
