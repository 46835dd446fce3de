"""The dialects of other servers, spoken by their own published clients."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile
from elevenlabs import ElevenLabs
from elevenlabs.errors import UnprocessableEntityError
from openai import OpenAI
from openai import UnprocessableEntityError as OpenAIRefusal

from hybridgen import manifest
from hybridgen.plan.plan import Plan
from hybridgen.serve.compositions import composition, request_of
from hybridgen.serve.limits import Limits
from hybridgen.serve.refusals import Refused
from hybridgen.serve.requests import check

PROMPT = "deep house, 120 BPM in A minor, 4/4"


@pytest.fixture(scope="module")
def eleven(server: str) -> ElevenLabs:
    return ElevenLabs(base_url=server, api_key="eleven-eleven", timeout=120)


@pytest.fixture(scope="module")
def openai(server: str) -> OpenAI:
    return OpenAI(base_url=f"{server}/v1", api_key="open-open-open", timeout=120, max_retries=0)


def seconds_of(sound: bytes) -> float:
    info = soundfile.info(io.BytesIO(sound))
    return info.frames / info.samplerate


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("chat/completions", {"messages": 5}, "messages"),
        ("chat/completions", {"messages": {"role": "user", "content": "x"}}, "messages"),
        ("chat/completions", {"messages": [5]}, "messages"),
        ("chat/completions", {"messages": [{"role": "user", "content": "x"}], "modalities": 5}, "modalities"),
        ("chat/completions", {"messages": [{"role": "user", "content": "x"}], "audio": 5}, "audio"),
        ("music", {"prompt": "x", "music_length_ms": 10**400}, "seconds"),
        ("music", {"composition_plan": 5}, "composition_plan"),
        (
            "music",
            {
                "composition_plan": {
                    "positive_global_styles": ["house"],
                    "sections": [{"section_name": "x", "duration_ms": float("inf")}],
                }
            },
            "composition_plan",
        ),
        ("music/plan", {"prompt": 5}, "prompt"),
        ("audio/generate", {"input": "x", "audio_start": [1]}, "audio_start"),
        ("audio/generate", {"input": "x", "audio_length": 10**400}, "seconds"),
    ],
)
def test_what_is_of_the_wrong_kind_is_refused_in_one_line(server: str, path: str, body: Any, field: str):
    answer = httpx.post(f"{server}/v1/{path}", content=json.dumps(body))
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert error["field"] == field and "\n" not in error["message"]


# ---- ElevenLabs


def test_elevenlabs_composes(eleven: ElevenLabs):
    sound = b"".join(eleven.music.compose(prompt=PROMPT, music_length_ms=3000, force_instrumental=True, seed=4))
    assert seconds_of(sound) == pytest.approx(3, abs=0.1)


def test_elevenlabs_gets_sound_and_plan_and_the_sound_is_whole(eleven: ElevenLabs, tmp_path: Path):
    found = eleven.music.compose_detailed(prompt=PROMPT, music_length_ms=3000, model_id="music_v1")
    assert found.filename == "track.mp3" and found.song_id
    assert found.json["composition_plan"]["positive_global_styles"][0] == PROMPT
    (tmp_path / "track.mp3").write_bytes(found.audio)
    assert manifest.verify(tmp_path / "track.mp3") == []


def test_elevenlabs_streams(eleven: ElevenLabs):
    sound = b"".join(eleven.music.stream(prompt=PROMPT, music_length_ms=3000))
    assert seconds_of(sound) == pytest.approx(3, abs=0.2)


def test_elevenlabs_plans_and_composes_the_plan(eleven: ElevenLabs):
    plan = eleven.music.composition_plan.create(prompt=PROMPT, music_length_ms=8000)
    assert {"120 BPM", "A minor", "4/4"} <= set(plan.positive_global_styles)
    assert sum(section.duration_ms for section in plan.sections) == pytest.approx(8000, abs=20)
    found = eleven.music.compose_detailed(composition_plan=plan)
    first, second = plan.sections, found.json["composition_plan"]["sections"]
    kept = [(one.section_name, one.positive_local_styles, one.duration_ms) for one in first]
    assert kept == [(one["section_name"], one["positive_local_styles"], one["duration_ms"]) for one in second]


def test_elevenlabs_is_told_what_cannot_be_had(eleven: ElevenLabs):
    for fields in ({"force_instrumental": False}, {"sign_with_c_2_pa": True}, {"finetune_id": "mine"}):
        with pytest.raises(UnprocessableEntityError) as refused:
            b"".join(eleven.music.compose(prompt=PROMPT, **fields))
        assert refused.value.body["error"]["message"]
    with pytest.raises(UnprocessableEntityError) as refused:
        b"".join(eleven.music.compose(prompt=PROMPT, output_format="opus_48000_128"))
    assert refused.value.body["error"]["suggestion"] == {"output_format": "mp3_44100_128"}


def test_a_plan_becomes_a_composition_and_a_request_again():
    plan = Plan.from_dict(
        {
            "hybridgen_plan": 1,
            "prompt": "house",
            "meter": "3/4",
            "tempo": 90,
            "key": "D minor",
            "sections": [
                {"label": "verse", "energy": 2, "roles": ["bass"], "chords": ["Dm", "A7 Dm", None]},
                {"label": "chorus", "energy": 6, "roles": ["drums", "bass"], "chords": ["F", "C"]},
            ],
            "instruments": {"drums": 0, "bass": 33},
        }
    )
    fields = request_of(composition(plan))
    assert fields["tempo"] == 90 and [len(one["chords"]) for one in fields["sections"]] == [3, 2]
    assert fields["sections"][0]["chords"] == ["Dm", "A7,Dm", None]
    checked = check("track", fields, Limits())
    assert [(one["label"], one["energy"], one["roles"]) for one in checked["sections"]] == [
        ("verse", 2, ["bass"]),
        ("chorus", 6, ["drums", "bass"]),
    ]
    theirs = {"section_name": "Big Chorus!", "duration_ms": 8000, "lines": []}
    made_by_hand = {
        "positive_global_styles": ["rock", "120 BPM"],
        "negative_global_styles": ["drums"],
        "sections": [theirs],
    }
    asked = request_of(made_by_hand)
    assert asked["prompt"] == "rock, 120 BPM, no drums" and asked["sections"][0]["label"] == "chorus"
    assert len(asked["sections"][0]["chords"]) == 4
    for broken in (
        {},
        [],
        {"positive_global_styles": [], "sections": [{}]},
        {"positive_global_styles": 1, "sections": 2},
    ):
        with pytest.raises(Refused, match="composition_plan"):
            request_of(broken)
    with pytest.raises(Refused, match="no voice"):
        request_of({**made_by_hand, "sections": [{**theirs, "lines": ["la la"]}]})


# ---- OpenAI


def test_openai_lists_the_model_and_gets_music(openai: OpenAI):
    (model,) = openai.models.list().data
    messages = [{"role": "user", "content": PROMPT}]
    chosen = {"audio_config": {"duration": 3, "bpm": 100, "time_signature": "3", "instrumental": True}}
    answer = openai.chat.completions.create(
        model=model.id,
        messages=messages,
        modalities=["text", "audio"],
        audio={"voice": "alloy", "format": "wav"},
        seed=6,
        extra_body=chosen,
    )
    message = answer.choices[0].message
    assert "100.0 BPM" in message.content and "3/4" in message.content and "seed 6" in message.content
    assert seconds_of(base64.b64decode(message.audio.data)) == 3


def test_chat_answers_with_data_urls_where_openais_audio_is_not_asked_for(server: str):
    parts = [{"type": "text", "text": PROMPT}]
    body = {"messages": [{"role": "user", "content": parts}], "audio_config": {"duration": 2, "format": "mp3"}}
    answer = httpx.post(f"{server}/v1/chat/completions", json=body, timeout=120).json()
    (sound,) = answer["choices"][0]["message"]["audio"]
    head, _, data = sound["audio_url"]["url"].partition(",")
    assert head == "data:audio/mpeg;base64" and seconds_of(base64.b64decode(data)) == pytest.approx(2, abs=0.1)


def test_openai_is_told_what_cannot_be_had(openai: OpenAI):
    for body in (
        {"extra_body": {"audio_config": {"instrumental": False}}},
        {"stream": True},
        {"extra_body": {"audio_config": {"duration": 9999}}},
    ):
        with pytest.raises(OpenAIRefusal) as refused:
            openai.chat.completions.create(model="x", messages=[{"role": "user", "content": PROMPT}], **body)
        assert refused.value.body["message"]
    with pytest.raises(OpenAIRefusal, match="only text is read"):
        content = [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]
        openai.chat.completions.create(model="x", messages=[{"role": "user", "content": content}])


# ---- vLLM-Omni


def test_audio_generate_answers_with_sound(server: str):
    body = {"input": PROMPT, "model": "any", "audio_length": 3, "response_format": "wav", "num_inference_steps": 2}
    answer = httpx.post(f"{server}/v1/audio/generate", json={**body, "seed": 5, "audio_start": 0}, timeout=120)
    assert answer.headers["content-type"] == "audio/wav" and answer.headers["seed"] == "5"
    assert seconds_of(answer.content) == 3
    quiet = httpx.post(f"{server}/v1/audio/generate", json={**body, "negative_prompt": "drums"}, timeout=120)
    job = httpx.get(f"{server}{quiet.headers['Location']}").json()
    plan = httpx.get(f"{server}{job['result']['files']['plan.json']}").json()
    assert all("drums" not in section["roles"] for section in plan["sections"])
    for wrong in ({"audio_start": 3}, {"negative_prompt": "sadness"}, {"guidance_scale": 1e9}):
        refused = httpx.post(f"{server}/v1/audio/generate", json={**body, **wrong}, timeout=120)
        assert refused.status_code == 422 and json.loads(refused.text)["error"]["message"]
