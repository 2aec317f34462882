"""The names by which people know models, such as `Kling 3.0` for the id `kling-3.0/video`."""

import re
from collections.abc import Iterable

from kie_mcp.catalog.model import KieModel


def name_model(model: type[KieModel]) -> str:
    """Return the name by which people know a model: the first words of the model's summary, and its default version."""
    name = re.split(r"[:,]", (model.__doc__ or "").strip(), maxsplit=1)[0]
    version = model.model_fields["version"].default if "version" in model.model_fields else None
    return f"{name} {version.replace('_', '.').replace('PLUS', '+')}" if isinstance(version, str) else name


def list_names(models: Iterable[type[KieModel]]) -> str:
    """Return Markdown with the names of models; after each name, in brackets, the ids of all models with this name."""
    named: dict[str, list[str]] = {}
    for model in models:
        named.setdefault(name_model(model), []).append(f"`{model.id}`")
    return "; ".join(f"{name} ({', '.join(ids)})" for name, ids in named.items())
