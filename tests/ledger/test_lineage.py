"""What a task was made from."""

from typing import Any

from support.cases import for_each

from kie_mcp.ledger import lineage

ID = "t_abcdefghjkmn"


@for_each(
    "arguments, ids",
    [
        ({"image": f"task:{ID}#1"}, [ID]),
        ({"images": [f"task:{ID}#1", f"task:{ID}#2", "task:5f0c5f0c5f0c"]}, [ID, "5f0c5f0c5f0c"]),
        ({"task_id": ID}, [ID]),
        ({"task_id": f"task:{ID}"}, [ID]),
        ({"task_id": "5f0c5f0c5f0c"}, ["5f0c5f0c5f0c"]),
        ({"taskId": "5f0c5f0c5f0c", "image_task": ID}, ["5f0c5f0c5f0c", ID]),
        ({"track": f"task:{ID}#8a1c"}, [ID]),
        ({"track": "task:-#8a1c"}, []),
        ({"image": f"/home/me/My Pictures/2027-01-15-veo3-{ID}-1.png"}, [ID]),
        ({"image": f"/home/me/2027-01-15-veo3-{ID}-12-2.png"}, [ID]),
        ({"input": {"parts": [{"image": f"task:{ID}#1"}]}}, [ID]),
        ({"prompt": f"as in {ID}, but blue", "seed": 7, "sound": True, "voice": None}, []),
        ({"prompt": "task: be good", "image": "https://a.example/a.png", "name": "5f0c5f0c5f0c"}, []),
        ({"image": "sha256:5f0c", "images": []}, []),
    ],
)
def test_arguments_tell_what_a_task_was_made_from(arguments: dict[str, Any], ids: list[str]) -> None:
    assert lineage.referenced_ids(arguments) == ids
