"""CLAP from a folder: a tiny one with random weights, made here, and folders that hold none."""

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("librosa")

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, ClapProcessor, PreTrainedTokenizerFast

from hybridgen.metrics.clap import Clap
from tests.conftest import SAMPLE_RATE

WORDS = ("<s>", "<pad>", "</s>", "<unk>", "slow", "piano", "loud", "drums")


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "fused"])
def folder(request, tmp_path_factory) -> Path:
    torch.manual_seed(0)
    text = {"vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    audio = {"patch_embeds_hidden_size": 8, "depths": [1, 1], "num_attention_heads": [1, 2], "hidden_size": 16}
    audio |= {"spec_size": 128, "window_size": 4, "num_hidden_layers": 2, "enable_fusion": request.param}
    config = ClapConfig(
        text_config=text | {"intermediate_size": 16, "max_position_embeddings": 34, "projection_dim": 12},
        audio_config=audio | {"projection_dim": 12},
        projection_dim=12,
    )
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", unk_token="<unk>", model_max_length=32
    )
    folder = tmp_path_factory.mktemp("clap")
    ClapModel(config).save_pretrained(folder)
    extractor = ClapFeatureExtractor(max_length_s=2, truncation="fusion" if request.param else "rand_trunc")
    ClapProcessor(extractor, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clap(folder) -> Clap:
    return Clap(folder)


@pytest.fixture(scope="module")
def sounds() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    t = np.arange(5 * SAMPLE_RATE) / SAMPLE_RATE
    return [np.sin(2 * np.pi * 440 * t), 0.3 * rng.standard_normal((2, SAMPLE_RATE)), np.zeros((2, SAMPLE_RATE))]


def test_cosines_of_pairs_depend_on_sound_and_words_alone(clap, sounds):
    prompts = ["slow piano", "loud drums", "loud drums"]
    found = clap.similarity(sounds, prompts)
    assert found.shape == (3,) and np.isfinite(found).all() and (np.abs(found) <= 1).all()
    assert len(set(np.round(found, 4))) == 3
    np.random.seed(5)
    np.testing.assert_array_equal(clap.similarity(sounds[::-1], prompts[::-1]), found[::-1])


def test_all_of_a_long_sound_is_embedded(clap, sounds):
    ends_otherwise = sounds[0].copy()
    ends_otherwise[-SAMPLE_RATE // 2 :] = np.random.default_rng(0).standard_normal(SAMPLE_RATE // 2)
    first, second = clap.similarity([sounds[0], ends_otherwise], ["slow piano"] * 2)
    assert first != second


def test_an_overlong_prompt_is_cut(clap, sounds):
    assert np.isfinite(clap.similarity(sounds[1:2], ["loud drums " * 100])).all()


def test_every_sound_needs_a_prompt(clap, sounds):
    with pytest.raises(ValueError, match="3 sounds, but 1 prompts"):
        clap.similarity(sounds, ["slow piano"])


def test_folders_without_a_checkpoint_are_refused_in_one_line(folder, tmp_path):
    for change in ("nothing", "other model", "no weights", "broken weights", "no tokenizer"):
        other = tmp_path / change
        other.mkdir()
        for path in folder.iterdir() if change != "nothing" else ():
            (other / path.name).write_bytes(path.read_bytes())
        if change == "other model":
            (other / "config.json").write_text('{"model_type": "bert"}')
        elif change == "no weights":
            (other / "model.safetensors").unlink()
        elif change == "broken weights":
            (other / "model.safetensors").write_bytes(b"\0" * 100)
        elif change == "no tokenizer":
            for path in other.glob("token*"):
                path.unlink()
        with pytest.raises(ValueError, match="is not a CLAP checkpoint") as error:
            Clap(other)
        assert "\n" not in str(error.value)
