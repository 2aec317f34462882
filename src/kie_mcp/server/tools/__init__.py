"""The tools that belong to no family of models, one or a few in each module, and the list of all tools."""
