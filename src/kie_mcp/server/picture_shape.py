"""The shape of a result: an edit, or a clip from a first frame, keeps the picture's shape unless the call names one."""

from dataclasses import replace

from pydantic import ValidationError

from kie_mcp.media.shapes import find_nearest_ratio
from kie_mcp.server.app import App
from kie_mcp.tasks.media_inputs import abbreviate
from kie_mcp.tasks.order import Order


async def keep_shape(app: App, order: Order) -> Order:
    """Set the aspect ratio of an order to that of its picture, where the model would use another by default.

    The model is chosen already, and stays the same. The idempotency key counts the aspect ratio that is sent, so a call
    that names the same one repeats this call.

    Args:
        app: The running server; pictures on this machine are measured.
        order: The order, whose notes then say what was set.
    """
    call, picture = order.call, order.call.find_shape_source()
    default = type(call).model_fields["aspect_ratio"].default if "aspect_ratio" in type(call).model_fields else None
    if not picture or not isinstance(default, str) or "aspect_ratio" in call.model_fields_set:
        return order
    references = (await app.runner()).references
    width, height = await references.measure_picture(picture) or (0, 0)
    choice = find_nearest_ratio(width, height, type(call).field_schemas()["aspect_ratio"]["enum"])
    if not choice or choice == default:
        return order
    given = {name: getattr(call, name) for name in call.model_fields_set}
    try:
        shaped = type(call).model_validate({**given, "aspect_ratio": choice})
    except ValidationError:
        # Some models take this ratio only with other values of other fields.
        return order
    return replace(order, call=shaped, notes=(*order.notes, f"aspect_ratio {choice}, as {abbreviate(picture)}."))
