"""Choose the aspect ratio of an edited picture, or of a video with a first frame, if the caller does not choose it."""

from dataclasses import replace

from pydantic import ValidationError

from kie_mcp.media.shapes import find_nearest_ratio
from kie_mcp.server.app import App
from kie_mcp.tasks.media_inputs import abbreviate
from kie_mcp.tasks.order import Order


async def keep_shape(app: App, order: Order) -> Order:
    """Set the aspect ratio of an order to the aspect ratio of its input picture, unless the caller has set it.

    The idempotency key contains the chosen aspect ratio. Therefore, a call for which this function chose 16:9 has the
    same key as an equal call with the argument `aspect_ratio: "16:9"`.

    Args:
        app: The running server.
        order: The order. The order stays unchanged if the size of its picture is unknown, as for a picture at a URL.

    Returns:
        A new order with the aspect ratio, and with a note about this ratio; or the same order if nothing had to be set.
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
        # The model refuses this aspect ratio together with the order's other fields, so the order stays unchanged.
        return order
    return replace(order, call=shaped, notes=(*order.notes, f"aspect_ratio {choice}, as {abbreviate(picture)}."))
