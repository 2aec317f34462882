"""Other names and spellings that clients and people use for arguments and their values, such as `ratio: "16x9"`."""

HOST_ARGUMENTS = {
    "wait_for_previous": "Gemini CLI 0.61 adds it to every tool: google-gemini/gemini-cli#27403",
    "toolCallId": "n8n's MCP Client Tool sends it along: n8n-io/n8n#21500",
    "__tool_use_purpose": "Kiro CLI adds it to the input of every tool, as its hooks show",
}
"""Arguments that MCP hosts add to tool calls, and that kie-mcp ignores; each value says where this was observed."""

CALLBACK_NAMES = frozenset(
    (
        "call_back_url",
        "cal_back_url",
        "callback_url",
        "progress_call_back_url",
        "progress_callback_url",
        "webhook",
        "webhook_url",
    )
)
"""Names, in snake case, of a callback URL in requests to KIE; it is ignored, because kie-mcp polls tasks."""

PLACEHOLDERS = frozenset({"null", "none", "undefined", "n/a"})
"""Values, in lower case, that some clients send for arguments without a value."""

SWITCH_WORDS = {
    **dict.fromkeys(("true", "yes", "y", "on"), True),
    **dict.fromkeys(("false", "no", "n", "off", "0"), False),
}
"""The Boolean value that each text means; the texts are in lower case."""

_PICTURE = (
    "image images picture pictures photo photos img img_url img_urls image_url image_urls image_uri image_path "
    "image_file image_input input_image input_images input_url input_urls source_image source_images files_url "
    "file_urls reference_image reference_images reference_image_url reference_image_urls ref_image ref_images"
)
_TASK = "task tasks task_id task_ids tid kie_task_id"
TASK_NAMES = frozenset(_TASK.split())
"""Names, in snake case, that callers use for the id of a task."""

NEAR_NAMES: dict[str, frozenset[str]] = {
    name: frozenset(words.split())
    for name, words in {
        # Names of arguments that take files
        "image": f"{_PICTURE} first_frame first_frame_url first_frame_image first_image start_image start_image_url "
        "start_frame start_frame_url init_image",
        "images": _PICTURE,
        "last_image": "last_image_url last_frame last_frame_url last_frame_image end_image end_image_url end_frame "
        "end_frame_url tail_image tail_image_url",
        "video": "videos video_url video_urls video_uri video_path video_file video_input input_video source_video "
        "clip clips reference_video reference_videos reference_video_url reference_video_urls",
        "videos": "video video_url video_urls clips reference_video reference_videos reference_video_url "
        "reference_video_urls input_videos",
        "audio": "audios audio_url audio_urls audio_uri audio_path audio_file audio_input input_audio source_audio "
        "upload_url song_url music_url driving_audio driving_audio_url reference_audio reference_audio_url",
        "audios": "audio audio_url audio_urls upload_url_list reference_audio reference_audios reference_audio_url "
        "reference_audio_urls input_audios",
        "mask": "mask_url mask_image mask_image_url",
        "source": "src file file_path file_url path url uri media input clip video video_url video_path image "
        "image_url image_path audio audio_url audio_path music",
        # Names of arguments that take texts, voices or lines
        "prompt": "text lyrics description content input_text script instruction instructions caption gpt_description",
        "negative_prompt": "negative negative_tags negativeprompt",
        "style": "tags genre style_tags music_style",
        "voice": "voice_id voice_name voiceid speaker speaker_id audio_id",
        "language": "language_code lang",
        "shots": "multi_prompt scenes",
        "lines": "dialogue dialog dialogues turns",
        "dialogue": "lines dialog turns dialogue_turns",
        # Names of arguments for the size, length, number and format of results
        "aspect_ratio": "ratio aspect aspectratio image_size size shape orientation",
        "duration": "seconds length duration_seconds video_length duration_sec n_frames",
        "resolution": "image_resolution video_resolution",
        "count": "n num_images number_of_images num_outputs n_variants max_images batch_size quantity",
        "format": "output_format file_format image_format",
        "sound": "generate_audio generate_sound with_audio with_sound enable_audio enable_sound",
        "factor": "upscale_factor scale scale_factor upscale",
        "watermark": "water_mark",
        "prompt_expansion": "expand_prompt enhance_prompt prompt_extend prompt_optimizer prompt_upsampling "
        "prompt_enhancement enable_prompt_expansion",
        "translate": "enable_translation translation",
        # Names of arguments for times in a film
        "seconds": "duration length",
        "start": "start_time",
        "end": "end_time",
        "at": "start start_time begin from",
        "until": "end end_time to end_date",
        # Names of arguments that take the ids of tasks and of their results
        "task_id": f"{_TASK} id track job_id",
        "task_ids": f"{_TASK} id ids job_id job_ids",
        "track": f"{_TASK} tracks song song_id track_id audio_id",
        "file": f"{_TASK} url file_url path media result reference",
        # Names of the options, and of arguments of tools that run no model
        "model": "model_id model_name",
        "models": "model model_ids model_names",
        "words": "query q search keywords keyword term terms",
        "status": "state",
        "kind": "media_type type",
        "limit": "max_results page_size",
        "after": "since from start_date",
        "cursor": "next_cursor",
        "path": "file file_path local_path",
        "url": "file_url",
        "base64": "data file_data base64_data",
        "name": "file_name filename",
        "n": "number result_number",
        "wait_seconds": "wait timeout timeout_seconds max_wait",
        "max_credits": "budget max_cost",
        "input": "parameters params arguments",
        "quote": "quote_only dry_run estimate estimate_only",
        "confirm": "confirmation confirmation_id confirm_id",
    }.items()
}
"""Other names, in snake case, that callers use for each argument, such as the names in KIE's API or in other tools.

For example, if a tool has the argument `aspect_ratio` and no argument `ratio`, `ratio` means `aspect_ratio`.
"""

RELATED_NAMES: dict[str, frozenset[str]] = {
    "images": NEAR_NAMES["image"] | NEAR_NAMES["last_image"],
    "last_image": frozenset({"images", "frames"}),
    "speakers": NEAR_NAMES["voice"] | {"voice", "voices"},
    "sound": frozenset({"audio", "voice", "music"}),
    "title": frozenset({"text"}),
}
"""For an argument, names that may mean it, but not surely; the error about such a name lists the argument first."""

AUTOMATIC = ("auto", "automatic", "adaptive", "original")
"""Words, in lower case, that leave a choice to the model."""

WIDE, TALL = ("16:9", "3:2", "4:3", "5:4", "21:9"), ("9:16", "2:3", "3:4", "4:5", "9:21")
CHOICE_WORDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("landscape", "horizontal", "wide", "widescreen"), (*WIDE, "landscape")),
    **dict.fromkeys(("portrait", "vertical", "tall"), (*TALL, "portrait")),
    **dict.fromkeys(WIDE[:1], ("landscape",)),
    **dict.fromkeys(TALL[:1], ("portrait",)),
    **dict.fromkeys(AUTOMATIC, ("auto", "adaptive")),
    "square": ("1:1", "square"),
    "jpeg": ("jpg",),
    "jpg": ("jpeg",),
    **dict.fromkeys(("fullhd", "full hd", "fhd"), ("1080p",)),
    **dict.fromkeys(("uhd", "ultra hd", "2160p", "2160"), ("4K",)),
}
"""For each word, the values that it may mean, best first. The first value that the argument's `enum` has is used."""
