"""KIE's fields that no tool shows, because agents do not need them, such as fields for moderation."""

from collections.abc import Mapping
from typing import Any

_SWITCH = {"type": "boolean"}

HIDDEN_FIELDS: Mapping[str, Mapping[str, Any]] = {
    **dict.fromkeys(("nsfw_checker", "enable_safety_checker", "sync_mode", "return_last_frame"), _SWITCH),
    **dict.fromkeys(("uploadCn", "upload_cn", "enableFallback", "enable_fallback"), _SWITCH),
    "upload_method": {"type": "string", "enum": ["s3", "oss"]},
    "language_code": {"type": "string"},
}
"""The JSON Schema of each hidden field; the key is KIE's name of the field."""
