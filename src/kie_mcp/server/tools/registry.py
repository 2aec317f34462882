"""The list of the utilities (tools that belong to no family of models), in the order that tools/list uses."""

from kie_mcp.server.tools.compare_models import COMPARE_MODELS
from kie_mcp.server.tools.credits import GET_CREDITS, SPEND_REPORT
from kie_mcp.server.tools.edit_media import EDIT_MEDIA
from kie_mcp.server.tools.files import GET_DOWNLOAD_URL, UPLOAD_FILE
from kie_mcp.server.tools.library import LIBRARY
from kie_mcp.server.tools.make_batch import MAKE_BATCH
from kie_mcp.server.tools.models import DESCRIBE_MODEL, FIND_MODELS
from kie_mcp.server.tools.run_model import RUN_MODEL
from kie_mcp.server.tools.tasks import GET_TASK, LIST_TASKS, RESOLVE_TASK
from kie_mcp.server.tools.tool import Tool
from kie_mcp.server.tools.view_media import VIEW_MEDIA
from kie_mcp.server.tools.voices import FIND_VOICES

TOOLS: tuple[Tool, ...] = (
    GET_TASK,
    LIST_TASKS,
    LIBRARY,
    GET_CREDITS,
    SPEND_REPORT,
    RESOLVE_TASK,
    UPLOAD_FILE,
    GET_DOWNLOAD_URL,
    VIEW_MEDIA,
    EDIT_MEDIA,
    FIND_MODELS,
    DESCRIBE_MODEL,
    RUN_MODEL,
    COMPARE_MODELS,
    MAKE_BATCH,
)

UNLISTED: tuple[Tool, ...] = (FIND_VOICES,)
"""Utilities that are listed only in the set `all`, to save context; answers name them when they are useful."""
