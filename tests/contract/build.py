"""KIE's facts as the project's own test data, taken from the notes that lie beside the checkout.

Facts only: schemas, limits, words of state, example answers, prices, examples. What is a sentence is left out, or
stands as `<words>` where an answer has to say something.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NOTES = HERE.parents[2] / "shared" / "kie"
"""What the facts are taken from."""

PROSE = {"description", "summary", "title", "contact", "note", "notes"}
EXAMPLES = ("example_success_response", "example_failed_response", "example_pending_response", "not_found_envelope")

Facts = dict[str, Any]


def market(notes: Facts) -> Facts:
    """The models of the one endpoint that runs them all."""
    models = {id_: only(entry, "status", "kind", "mode", "input", "media") for id_, entry in notes["models"].items()}
    return {"snapshot": notes["snapshot"], "models": models}


def operations(notes: Facts) -> Facts:
    """All other calls."""
    return {
        call: only(entry, "status", "server", "query", "content_type", "body", "media") for call, entry in notes.items()
    }


def status_shapes(notes: Facts) -> Facts:
    """How each family says where a task stands."""
    return {
        "generated": notes["generated"],
        "endpoints": [
            only(entry, "family", "method", "path", "state_path")
            | {"states": {meaning: [*words_of(words)] for meaning, words in entry["states"].items()}}
            | {name: without_sentences(example) for name, example in only(entry, *EXAMPLES).items()}
            for entry in notes["endpoints"]
        ],
    }


def prices(notes: Facts) -> Facts:
    """Credits by model and condition."""
    models = {id_: without(entry, PROSE) for id_, entry in notes["models"].items()}
    return {**only(notes, "as_of", "usd_per_credit"), "models": models}


def live_catalog(notes: Facts) -> Facts:
    """What the discovery API answers, the ids that it lists, and the inputs that were read there."""
    shapes = {name: without(shape, PROSE - {"title"}) for name, shape in notes["shapes"].items()}
    inputs = {
        id_: {"properties": schema["input_properties"], "required": schema["input_required"]}
        for id_, schema in notes["schema_variants"].items()
    }
    return {"as_of": notes["as_of"], "shapes": shapes, "inputs": inputs, "models": sorted(notes["models"])}


def refused_examples(notes: list[Facts]) -> list[Facts]:
    """Examples of KIE's pages that an earlier version refused."""
    return [only(entry, "page", "call", "body") for entry in notes]


FILES: dict[str, Callable[[Any], Any]] = {
    "market.json": market,
    "operations.json": operations,
    "status_shapes.json": status_shapes,
    "prices.json": prices,
    "live-catalog.json": live_catalog,
    "refused-examples.json": refused_examples,
}


def only(entry: Facts, *names: str) -> Facts:
    """Some fields of an entry, those that say nothing left out."""
    return {name: entry[name] for name in names if entry.get(name) not in (None, {}, [])}


def without(value: Any, names: set[str]) -> Any:
    """The same without some fields, wherever they stand."""
    if isinstance(value, Mapping):
        return {name: without(each, names) for name, each in value.items() if name not in names}
    return [without(each, names) for each in value] if isinstance(value, list) else value


def words_of(words: list[Any]) -> Iterator[Any]:
    """The words of a state; a sentence in their place names a condition."""
    yield from (word for word in words if " " not in str(word))


def without_sentences(value: Any) -> Any:
    """An example answer whose messages say nothing."""
    if isinstance(value, Mapping):
        return {name: "<words>" if is_sentence(name, each) else without_sentences(each) for name, each in value.items()}
    return [without_sentences(each) for each in value] if isinstance(value, list) else value


def is_sentence(name: str, value: Any) -> bool:
    """Whether a field of an answer is there to be read by a person."""
    return name.lower().endswith(("msg", "message")) and isinstance(value, str) and " " in value.strip()


def written(facts: Any) -> str:
    """A file's text: one line for each entry, so that a change shows in the diff as what it is."""

    def line(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def entries(value: Any) -> str:
        match value:
            case list() if value and isinstance(value[0], dict):
                return "[\n" + ",\n".join(map(line, value)) + "\n]"
            case dict() if value and all(isinstance(each, dict) for each in value.values()):
                return "{\n" + ",\n".join(f"{line(name)}:{line(each)}" for name, each in value.items()) + "\n}"
            case _:
                return line(value)

    if isinstance(facts, dict) and not all(isinstance(each, dict) for each in facts.values()):
        return "{\n" + ",\n".join(f"{line(name)}:{entries(each)}" for name, each in facts.items()) + "\n}\n"
    return entries(facts) + "\n"


def built(name: str, notes: Path = NOTES) -> str:
    """The text that a file has when it is fresh."""
    return written(FILES[name](json.loads((notes / name).read_text(encoding="utf-8"))))


def main() -> None:
    """Write every file anew."""
    for name in FILES:
        (HERE / name).write_text(built(name), encoding="utf-8")


if __name__ == "__main__":
    main()
