"""KIE's codes, each held against every question that is asked of it."""

from typing import NamedTuple

import pytest

from kie_mcp.errors import ApiError, AuthError, InsufficientCredits, NotOffered, RateLimited
from kie_mcp.kie import codes
from kie_mcp.kie.advice import KIE


class Row(NamedTuple):
    """What one code, or each of several, means; without a word, it says nothing at all."""

    numbers: tuple[int, ...]
    error: type[ApiError] = ApiError
    next_step: str = "Change the arguments as the message says."
    flags: str = ""
    """The questions that are answered with yes."""
    bare: codes.Verdict = "running"
    recorded: codes.Verdict = "running"


AGAIN = "Try again in a moment."
KEY = "Check KIE_API_KEY, and the key's IP list at https://kie.ai/api-key."
ADDRESS = (
    "Choose another model: find_models lists them. If nothing works, check KIE_MCP_BASE_URL, KIE_MCP_UPLOAD_URL and "
    "KIE_MCP_ROUTE in the environment."
)
FLAGS = ("refused", "retryable", "accepted", "not_ready", "upload_gone", "failure_retryable")

ROWS = [
    Row((-1, 1, 100, 600, 999, 4000, 4029, 4031, 10**30)),
    Row((0, 200, 201, 202, 204, 299), flags="accepted"),
    Row((300, 301, 399, 406, 407, 410, 413, 418, 423, 432, 434, 450, 452, 454, 456, 499), flags="refused"),
    Row((400,), flags="refused not_ready"),
    Row((401, 403), AuthError, KEY, "refused", "request", "request"),
    Row(
        (402,),
        InsufficientCredits,
        "Top up at https://kie.ai/billing, then call again.",
        "refused",
        "request",
        "request",
    ),
    Row((404,), NotOffered, ADDRESS, "refused", "missing", "missing"),
    Row((405,), NotOffered, ADDRESS, "refused"),
    Row((408,), ApiError, AGAIN, "retryable failure_retryable", "request", "failed"),
    Row((409,), ApiError, "Use the one that exists: list_tasks shows the tasks there are.", "refused accepted"),
    Row((422,), flags="refused not_ready", bare="missing"),
    Row((429,), RateLimited, "Wait ten seconds.", "refused retryable", "request", "request"),
    Row(
        (433,),
        InsufficientCredits,
        "This key's own spending cap is reached: raise it at KIE.",
        "refused",
        "request",
        "request",
    ),
    Row(
        (451,),
        ApiError,
        "KIE could not fetch a file: upload it with upload_file.",
        "refused upload_gone",
        "failed",
        "failed",
    ),
    Row((455,), ApiError, "KIE is under maintenance: try again later.", "refused retryable", "request", "request"),
    Row((500,), ApiError, AGAIN, "retryable failure_retryable", "request", "failed"),
    Row(
        (501,),
        ApiError,
        "KIE could not make it: change the arguments, or choose another model.",
        "refused failure_retryable",
        "failed",
        "failed",
    ),
    Row((502, 503, 504, *range(506, 531)), ApiError, AGAIN, "retryable", "request", "request"),
    Row(
        (505,),
        ApiError,
        "KIE has switched this off. Choose another model: find_models lists them.",
        "refused",
        "request",
        "request",
    ),
    Row(
        (531,),
        ApiError,
        "KIE could not make it and charged nothing: call again if you like.",
        "refused failure_retryable",
        "failed",
        "failed",
    ),
    Row((532, 550, 599), ApiError, AGAIN, "retryable"),
    Row((4030,), ApiError, "KIE does not serve the region that this server is in.", "refused"),
]
EACH = [(code, row) for row in ROWS for code in row.numbers]


@pytest.mark.parametrize(("code", "row"), EACH, ids=[str(code) for code, _ in EACH])
def test_a_code_means_what_the_table_says(code: int, row: Row) -> None:
    found = codes.find(code)
    assert (found.error, found.advise(KIE)) == (row.error, row.next_step)
    assert [name for name in FLAGS if getattr(found, name)] == [name for name in FLAGS if name in row.flags.split()]
    assert (found.verdict(has_record=False), found.verdict(has_record=True)) == (row.bare, row.recorded)


@pytest.mark.parametrize(("code", "row"), EACH, ids=[str(code) for code, _ in EACH])
def test_the_error_of_a_code_says_what_its_row_says(code: int, row: Row) -> None:
    error = codes.error(code, "no", 3)
    assert type(error) is row.error
    assert (str(error), error.next_step, error.code) == (f'KIE says {code}: "no"', row.next_step, code)
    assert (error.retryable, error.billed, error.retry_after) == ("retryable" in row.flags.split(), False, 3)


def test_the_table_above_has_every_code_of_the_table() -> None:
    assert codes.CODES.keys() <= {code for code, _ in EACH}


def test_no_code_at_all_says_nothing_as_an_unknown_one() -> None:
    assert codes.find(None) == codes.find(999)


def test_an_error_without_a_reason_says_so() -> None:
    assert str(codes.error(500, "")) == "KIE says 500: no reason"


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        (404, "The task does not exist", ApiError),
        (404, "Record not found", ApiError),
        (404, "Not Found", NotOffered),
        (404, "No such endpoint", NotOffered),
        (422, "With this model, images in WebP are not supported", ApiError),
        (422, "The model could not be run: duration 8 is not valid", ApiError),
        (422, "For model veo3_fast the aspect ratio 1:1 is not supported", ApiError),
        (422, "model V5: personaModel is not available in non-custom mode", ApiError),
        (422, "model V4 is not supported with personaModel", ApiError),
        (422, "The model does not support 1080p; this combination is not supported", ApiError),
        (422, "The model kling/v2-1 is not supported", NotOffered),
        (422, "Model veo3 does not exist.", NotOffered),
        (422, "The model name you specified is not supported", NotOffered),
        (422, "The model you requested does not exist", NotOffered),
        (422, "Model veo3 is currently unavailable", NotOffered),
        (404, "The model kling-2.6/text-to-video does not exist", NotOffered),
        (404, "Model google/gemini-omni-video not found", NotOffered),
        (404, "Resource /api/v1/gpt4o-image/generate not found", NotOffered),
    ],
)
def test_a_refusal_of_the_source_or_of_arguments_is_none_of_the_model(
    code: int, message: str, expected: type[ApiError]
) -> None:
    assert type(codes.error(code, message)) is expected


@pytest.mark.parametrize("code", [400, 404, 422])
def test_only_a_422_that_names_the_model_is_about_the_model(code: int) -> None:
    error = codes.error(code, "The model x is no longer available")
    assert isinstance(error, NotOffered) == (code != 400)
    assert (error.next_step == codes.CHANGE_MODEL) == (code == 422)
