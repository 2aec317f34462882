"""The models that lists and searches show."""

from kie_mcp.catalog.registry import MODELS

LISTED = frozenset(id_ for id_, model in MODELS.items() if not model.unlisted)
"""The ids of all models but those that are found only by their id."""
