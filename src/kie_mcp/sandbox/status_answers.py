"""Build the sandbox's status answers; each KIE API has its own JSON structure, which KIE documents."""

import json
from collections.abc import Callable
from functools import partial

from kie_mcp.sandbox.answer_fields import Answer, error_fields, request_json, result_response, success_flag
from kie_mcp.sandbox.fake_task import FAILURE, StatusRecord, to_iso, to_milliseconds, to_plain_time
from kie_mcp.sandbox.suno_answers import SUNO_ANSWERS, SUNO_UNIFIED_RESULTS
from kie_mcp.sandbox.text_results import TEXT_RESULTS


def build_status_answer(record: StatusRecord) -> Answer:
    """Build the object for the field `data` of a status answer."""
    data: Answer = {}
    # If a create request fits two routes, the status answer has the fields of both. The likelier route comes last in
    # this loop, so its values replace equal fields of the other route.
    for offer in reversed(record.task.offers):
        data |= ANSWER_BUILDERS[offer.route.shape](record)
    return data | ({"outcome": {"files": record.moved_urls}} if record.moved_urls else {})


def jobs(record: StatusRecord) -> Answer:
    """Build the status answer of the unified `jobs` API, with the results twice: as a JSON string and as an object."""
    task = record.task
    code, reason = FAILURE if record.failed else ("", "") if record.succeeded else (None, None)
    result = UNIFIED_RESULTS.get(task.offers[0].result_shape, _url_results)(record) if record.succeeded else None
    return {
        "taskId": task.id,
        "model": task.model,
        "state": record.state,
        "param": request_json(task),
        "resultJson": json.dumps(result) if result else "",
        "response": result,
        "successFlag": success_flag(record),
        "failCode": code if code is None else str(code),
        "failMsg": reason,
        "costTime": to_milliseconds(task.seconds) if record.ended_at else None,
        "completeTime": to_milliseconds(record.ended_at),
        "createTime": to_milliseconds(task.created_at),
        "updateTime": to_milliseconds(record.ended_at or record.now),
        "creditsConsumed": task.charge(record.now) if record.ended_at else 0,
    }


def veo(record: StatusRecord) -> Answer:
    """Build the status answer of Veo's product API."""
    urls = list(record.urls.values())
    return {
        "taskId": record.task.id,
        "paramJson": request_json(record.task),
        "completeTime": to_plain_time(record.ended_at),
        "response": result_response(
            record,
            resultUrls=urls,
            originUrls=urls,
            fullResultUrls=urls,
            resolution=record.task.arguments.get("resolution"),
        ),
        "successFlag": success_flag(record),
        **error_fields(record, message=""),
        "createTime": to_plain_time(record.task.created_at),
        "fallbackFlag": False,
    }


def runway(record: StatusRecord) -> Answer:
    """Build the status answer of Runway's product API, whose words for some states differ from the `jobs` API."""
    task = record.task
    words = {"waiting": "wait", "queuing": "queueing"}
    video = {"videoId": task.id, "taskId": task.id, "videoUrl": record.first_url, "imageUrl": record.cover_url}
    return {
        "taskId": task.id,
        "parentTaskId": "",
        "generateParam": task.body,
        "state": words.get(record.state, record.state),
        "generateTime": to_plain_time(record.ended_at or task.created_at),
        "videoInfo": video if record.succeeded else None,
        "failCode": 400 if record.failed else 0,
        "failMsg": FAILURE[1] if record.failed else "",
        "expireFlag": 0,
    }


def aleph(record: StatusRecord) -> Answer:
    """Build the status answer of Aleph's product API; `successFlag` is 0 both for running and for failed tasks."""
    return {
        "taskId": record.task.id,
        "paramJson": request_json(record.task),
        "response": result_response(record, resultVideoUrl=record.first_url, resultImageUrl=record.cover_url),
        "completeTime": to_iso(record.ended_at) if record.succeeded else None,
        "createTime": to_iso(record.task.created_at),
        "successFlag": int(record.succeeded),
        **error_fields(record, code=0, message=""),
    }


def luma(record: StatusRecord) -> Answer:
    """Build the status answer of Luma's product API."""
    urls, param = list(record.urls.values()), request_json(record.task)
    return {
        "taskId": record.task.id,
        "promptJson": param,
        "completeTime": to_milliseconds(record.ended_at),
        "response": result_response(record, promptJson=param, resultUrls=urls, originUrls=urls),
        "successFlag": success_flag(record),
        **error_fields(record),
        "createTime": to_milliseconds(record.task.created_at),
    }


def gpt4o_image(record: StatusRecord) -> Answer:
    """Build the status answer of 4o Image's product API; its field `progress` is a string, such as `"0.50"`."""
    words = {"success": "SUCCESS", "fail": "GENERATE_FAILED"}
    return {
        "taskId": record.task.id,
        "paramJson": request_json(record.task),
        "completeTime": to_milliseconds(record.ended_at),
        "response": {"resultUrls": list(record.urls.values())} if record.succeeded else _no_pictures(record),
        "successFlag": 2 if record.failed else success_flag(record),
        "status": words.get(record.state, "GENERATING"),
        **error_fields(record, message="" if record.ended_at else None),
        "createTime": to_milliseconds(record.task.created_at),
        "progress": f"{record.task.progress(record.now):.2f}",
    }


def flux_kontext(record: StatusRecord) -> Answer:
    """Build the status answer of Flux Kontext's product API."""
    url = record.first_url
    return {
        "taskId": record.task.id,
        "paramJson": request_json(record.task),
        "completeTime": to_iso(record.ended_at),
        "response": {"originImageUrl": url, "resultImageUrl": url} if record.succeeded else None,
        "successFlag": success_flag(record),
        **error_fields(record, message=""),
        "createTime": to_iso(record.task.created_at),
    }


def midjourney(record: StatusRecord) -> Answer:
    """Build the status answer of Midjourney's product API; its `resultInfoJson` is an object, not a JSON string."""
    results = {"resultUrls": [{"resultUrl": url} for url in record.urls.values()]}
    return {
        "taskId": record.task.id,
        "taskType": record.task.body.get("taskType"),
        "successFlag": success_flag(record),
        "createTime": to_iso(record.task.created_at),
        "completeTime": to_iso(record.ended_at),
        "resultInfoJson": results if record.succeeded else None,
        **error_fields(record),
    }


def service(record: StatusRecord) -> Answer:
    """Build the status answer of a route `service:<path>`; all these routes answer with the same JSON fields."""
    return {
        "taskId": record.task.id,
        "status": 2 if record.failed else int(record.succeeded),
        "progress": record.task.progress(record.now),
        "resultUrls": list(record.urls.values()),
    }


def _no_pictures(record: StatusRecord) -> Answer | None:
    """Return the field `response` of a 4o Image task without results: an empty list of URLs if it failed, else None."""
    return {"result_urls": []} if record.failed else None


def _url_results(record: StatusRecord) -> Answer:
    return {"resultUrls": list(record.urls.values())}


def _wrap_result(build: Callable[[StatusRecord], Answer], record: StatusRecord) -> Answer:
    return {"resultObject": build(record)}


ANSWER_BUILDERS: dict[str, Callable[[StatusRecord], Answer]] = {
    **TEXT_RESULTS,
    "jobs": jobs,
    "veo": veo,
    "runway": runway,
    "aleph": aleph,
    "luma": luma,
    "gpt4o-image": gpt4o_image,
    "flux-kontext": flux_kontext,
    "midjourney": midjourney,
    **SUNO_ANSWERS,
    "service": service,
}
"""For each `Route.shape` (the name of an answer's JSON structure), the function that builds the status answer."""

UNIFIED_RESULTS: dict[str, Callable[[StatusRecord], Answer]] = {
    **{shape: partial(_wrap_result, build) for shape, build in TEXT_RESULTS.items()},
    **SUNO_UNIFIED_RESULTS,
}
"""For each `Offer.result_shape` whose results are not just URLs, the function that builds the field `resultJson`."""
