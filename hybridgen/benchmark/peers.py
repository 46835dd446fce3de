"""The rivals' own code, with random weights, at shapes as near to ours as theirs allow.

MusicGen (https://arxiv.org/abs/2306.05284) of transformers stands beside our planner, the transformer of Stable Audio
Open (https://arxiv.org/abs/2407.14358) of diffusers beside our renderer, its autoencoder and Descript's
(https://arxiv.org/abs/2306.06546) beside our codec. Layers, width, heads, rows, steps and frames are ours; the inner
width of their feed-forward layers is such that they have as many parameters. Packages are imported by the functions
that need them.
"""

from collections.abc import Callable, Iterable
from itertools import pairwise
from math import ceil
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hybridgen.benchmark import ours
from hybridgen.benchmark.task import Task, Work, n_parameters, n_rows
from hybridgen.sampling import SamplingParams
from hybridgen.workers import single_threaded

MULTIPLE = 8  # of widths that are chosen here
OOBLECK_RATIOS, OOBLECK_MULTIPLES = (2, 4, 4, 8, 8), (1, 2, 4, 8, 16)  # as they were published, 2,048 samples a frame
DAC_RATIOS = (2, 4, 8, 8)  # the same, 512


def initialized(make: Callable[[], Any], task: Task) -> Any:
    """A model on the device of a task, ready to be called."""
    with torch.device(task.device):
        return nn.Module.to(make(), task.device, task.dtype).eval()  # diffusers' own warns of every dtype


def closest(widths: Iterable[int], size: Callable[[int], int], wanted: int) -> int:
    """The width whose number of parameters is closest to `wanted`."""
    return min(widths, key=lambda width: abs(size(width) - wanted))


# ---- beside the planner


def musicgen(task: Task) -> Work:
    """`MusicgenForCausalLM.generate`, as many steps as there are code frames."""
    return _musicgen(task, task.n_codes, task.shapes.sampling.codes, is_static=False)


def musicgen_static(task: Task) -> Work:
    """The same with its static cache, which a GPU compiles."""
    return _musicgen(task, task.n_codes, task.shapes.sampling.codes, is_static=True)


def musicgen_notes(task: Task) -> Work:
    """As many steps as there are steps of notes."""
    return _musicgen(task, task.n_note_steps, task.shapes.sampling.notes, is_static=False)


def musicgen_model(task: Task) -> Any:
    """A decoder with the layers, the width, the heads and the codebooks of our planner."""
    from transformers import MusicgenForCausalLM
    from transformers.models.musicgen.configuration_musicgen import MusicgenDecoderConfig

    shapes = task.shapes.planner
    fixed = shapes.n_layers * (8 * shapes.dim**2 + 6 * shapes.dim) + 2 * shapes.dim
    fixed += shapes.n_codebooks * shapes.codebook_size * shapes.dim
    wanted = (task.sizes.step - fixed) / (2 * shapes.n_layers * shapes.dim)
    config = MusicgenDecoderConfig(
        num_hidden_layers=shapes.n_layers,
        hidden_size=shapes.dim,
        num_attention_heads=shapes.n_heads,
        ffn_dim=max(MULTIPLE, MULTIPLE * round(wanted / MULTIPLE)),
        num_codebooks=shapes.n_codebooks,
        vocab_size=shapes.codebook_size,
        max_position_embeddings=max(2048, task.n_codes, task.n_note_steps) + 1,
        pad_token_id=None,
        bos_token_id=None,
    )
    return initialized(lambda: MusicgenForCausalLM(config), task)


def _musicgen(task: Task, n_steps: int, params: SamplingParams, is_static: bool) -> Work:
    from transformers import DynamicCache, EncoderDecoderCache, GenerationConfig, StaticCache

    model, rows, n_books = musicgen_model(task), n_rows(params), task.shapes.planner.n_codebooks
    config, start = model.config, task.shapes.planner.codebook_size
    model.generation_config = GenerationConfig(
        max_new_tokens=n_steps,
        max_length=n_steps + 1,
        do_sample=True,
        num_beams=1,
        num_return_sequences=1,
        use_cache=True,
        guidance_scale=params.guidance_scale if rows == 2 else None,
        bos_token_id=start,
        pad_token_id=start,
        decoder_start_token_id=start,
    )
    with torch.device(task.device):
        text = torch.randn(rows, task.n_text, config.hidden_size).to(task.dtype)
        text_mask, ids = torch.ones(rows, task.n_text, dtype=torch.int64), torch.full((n_books, 1), start)
        mask = torch.ones(1, 1, dtype=torch.int64)

    def cache() -> Any:  # without one of two parts, generate would look at the text again for every step before
        if not is_static:
            return EncoderDecoderCache(DynamicCache(config=config), DynamicCache(config=config))
        lengths = (n_steps, task.n_text)
        return EncoderDecoderCache(*(StaticCache(config=config, max_cache_len=length) for length in lengths))

    @single_threaded()  # as ours is: threads that come and go between two calls would slow it many times over
    def run() -> Tensor:
        return model.generate(
            ids,
            attention_mask=mask,
            encoder_hidden_states=text,
            encoder_attention_mask=text_mask,
            past_key_values=cache(),
        )

    n = n_parameters(model.model.decoder.layers, model.model.decoder.layer_norm, model.lm_heads)
    return Work(run, n_steps, n, n * task.dtype.itemsize * n_steps)


def qwen_model(task: Task) -> Any:
    """transformers' Qwen3, whose layers compute what those of our planner do, with the weights of our planner."""
    from transformers import Qwen3Config, Qwen3Model

    shapes = task.shapes.planner
    config = Qwen3Config(
        vocab_size=1,
        hidden_size=shapes.dim,
        intermediate_size=shapes.ffn_dim,
        num_hidden_layers=shapes.n_layers,
        num_attention_heads=shapes.n_heads,
        num_key_value_heads=shapes.n_kv_heads,
        head_dim=shapes.dim // shapes.n_heads,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = initialized(lambda: Qwen3Model(config), task)
    planner = ours.of(task)[0].planner
    with torch.no_grad():
        for theirs, block in zip(model.layers, planner.blocks, strict=True):
            share_block(block, theirs)
        model.norm.weight.copy_(planner.norm.weight)
    return model


def share_block(block: Any, theirs: Any) -> None:
    """Copies the weights of a block of our planner into a layer of Qwen3."""
    heads, other = block.attention, theirs.self_attn
    keys, values = heads.wkv.weight.chunk(2)
    gate, up = block.ffn.w_in.weight.chunk(2)
    pairs = (
        (theirs.input_layernorm, block.attention_norm.weight),
        (theirs.post_attention_layernorm, block.ffn_norm.weight),
        (other.q_proj, heads.wq.weight),
        (other.k_proj, keys),
        (other.v_proj, values),
        (other.o_proj, heads.wo.weight),
        (other.q_norm, heads.q_norm.weight),
        (other.k_norm, heads.k_norm.weight),
        (theirs.mlp.gate_proj, gate),
        (theirs.mlp.up_proj, up),
        (theirs.mlp.down_proj, block.ffn.w_out.weight),
    )
    for module, weight in pairs:
        module.weight.copy_(weight)


def qwen(task: Task) -> Work:
    """Its layers fed one slot after the other, with its cache."""
    from transformers import DynamicCache

    model, rows = qwen_model(task), n_rows(task.shapes.sampling.codes)
    with torch.device(task.device):
        prefix = torch.randn(rows, task.n_text + 1, task.shapes.planner.dim).to(task.dtype)

    @single_threaded()
    @torch.inference_mode()
    def run() -> Tensor:
        kept = DynamicCache(config=model.config)
        x = model(inputs_embeds=prefix, past_key_values=kept, use_cache=True).last_hidden_state[:, -1:]
        for _ in range(ours.N_SLOTS):
            x = model(inputs_embeds=x, past_key_values=kept, use_cache=True).last_hidden_state
        return x

    n = n_parameters(model.layers, model.norm)
    return Work(run, ours.N_SLOTS, n, n * task.dtype.itemsize * ours.N_SLOTS)


# ---- beside the renderer


def stable_audio_model(task: Task) -> Any:
    """A transformer with the width, the depth and the heads of our renderer."""
    from diffusers import StableAudioDiTModel
    from diffusers.models.transformers.stable_audio_transformer import StableAudioDiTBlock

    shapes = task.shapes.renderer
    dim, head_dim = shapes.dim, shapes.dim // shapes.n_heads
    fixed = 8 * dim**2 + 7 * dim  # of a block: two attentions, three norms, a bias
    wanted = (task.sizes.blocks / shapes.n_layers - fixed) / (3 * dim + 2)

    def make() -> Any:
        model: Any = StableAudioDiTModel(
            in_channels=shapes.latent_dim,
            out_channels=shapes.latent_dim,
            num_layers=0,
            attention_head_dim=head_dim,
            num_attention_heads=shapes.n_heads,
            num_key_value_attention_heads=shapes.n_heads,
            cross_attention_dim=dim,
            cross_attention_input_dim=shapes.text_dim,
            global_states_input_dim=dim,
        )
        inner = max(MULTIPLE, MULTIPLE * round(wanted / MULTIPLE))
        model.transformer_blocks.extend(
            StableAudioDiTBlock(
                dim, shapes.n_heads, shapes.n_heads, head_dim, cross_attention_dim=dim, ff_inner_dim=inner
            )
            for _ in range(shapes.n_layers)
        )
        return model

    return initialized(make, task)


def stable_audio(task: Task) -> Work:
    """As many Euler steps as our renderer makes, guided where it is, of windows as long."""
    model = stable_audio_model(task)
    return Work(_euler(task, model, model), task.seconds, n_parameters(model.transformer_blocks))


def stable_audio_compiled(task: Task) -> Work:
    """The same, compiled for each length of a window."""
    model = stable_audio_model(task)
    run, plain = _euler(task, model, torch.compile(model, dynamic=False)), _euler(task, model, model)
    return Work(run, task.seconds, n_parameters(model.transformer_blocks), counted=plain)


def _euler(task: Task, model: Any, forward: Callable[..., Any]) -> Callable[[], list[Tensor]]:
    from diffusers.models.embeddings import get_1d_rotary_pos_embed

    shapes, sampling = task.shapes.renderer, task.shapes.sampling
    rows = 1 if sampling.guidance_scale == 1 else 2
    with torch.device(task.device):
        text = torch.randn(rows, task.n_text, shapes.text_dim).to(task.dtype)
        start = torch.randn(rows, 1, shapes.dim).to(task.dtype)
        times = torch.linspace(1, 0, sampling.num_steps + 1, device="cpu")
        angles = {
            n: get_1d_rotary_pos_embed(
                model.config.attention_head_dim // 2,
                np.arange(n + 1),
                use_real=True,
                repeat_interleave_real=False,
            )
            for n in set(task.windows)
        }

    def window(n: int) -> Tensor:
        x = torch.randn(1, shapes.latent_dim, n, device=task.device, dtype=task.dtype)
        for t, t_next in pairwise(times.tolist()):
            now = 1 if sampling.guides_played and t == 1 else rows
            velocity = forward(
                x.expand(now, -1, -1),
                x.new_full((now,), t),
                encoder_hidden_states=text[:now],
                global_hidden_states=start[:now],
                rotary_embedding=angles[n],
                return_dict=False,
            )[0]
            with_text, without = velocity.chunk(2) if now == 2 else (velocity, velocity)
            x = x + (t_next - t) * (without + sampling.guidance_scale * (with_text - without))
        return x

    @torch.inference_mode()
    def run() -> list[Tensor]:
        return [window(n) for n in task.windows]

    return run


# ---- beside the codec


def oobleck(task: Task) -> Work:
    """The decoder of `AutoencoderOobleck` whose number of parameters is closest to ours."""
    from diffusers import AutoencoderOobleck
    from diffusers.models.autoencoders.autoencoder_oobleck import OobleckDecoder

    latent_dim = task.shapes.any_codec.latent_dim
    ratios, multiples = list(OOBLECK_RATIOS), list(OOBLECK_MULTIPLES)

    def size(channels: int) -> int:
        with torch.device("meta"):
            return n_parameters(OobleckDecoder(channels, latent_dim, 2, ratios[::-1], multiples))

    channels = closest(range(MULTIPLE, 257, MULTIPLE), size, task.sizes.decoder)

    def make() -> Any:
        return AutoencoderOobleck(
            encoder_hidden_size=2 * MULTIPLE,
            downsampling_ratios=ratios,
            channel_multiples=multiples,
            decoder_channels=channels,
            decoder_input_channels=latent_dim,
            sampling_rate=task.plan.time_base.sample_rate,
        )

    model = initialized(make, task)
    n_frames = ceil(task.plan.length / 2048)
    latents = torch.randn(1, latent_dim, n_frames, device=task.device, dtype=task.dtype)

    @torch.inference_mode()
    def run() -> Tensor:
        return model.decode(latents).sample

    return Work(run, task.seconds, n_parameters(model.decoder))


def dac(task: Task) -> Work:
    """The decoder of `DacModel` whose number of parameters is closest to ours, each side for itself."""
    from transformers import DacConfig, DacModel

    latent_dim = task.shapes.any_codec.latent_dim
    encoder_dim = max(1, latent_dim // 2 ** len(DAC_RATIOS))

    def config(channels: int) -> Any:
        return DacConfig(
            encoder_hidden_size=encoder_dim,
            decoder_hidden_size=channels,
            downsampling_ratios=DAC_RATIOS,
            sampling_rate=task.plan.time_base.sample_rate,
        )

    def size(channels: int) -> int:
        with torch.device("meta"):
            return n_parameters(DacModel(config(channels)).decoder)

    channels = closest(range(16, 1537, 16), size, task.sizes.decoder)
    model = initialized(lambda: DacModel(config(channels)), task)
    n_frames = ceil(task.plan.length / 512)
    latents = torch.randn(2, model.config.hidden_size, n_frames, device=task.device, dtype=task.dtype)

    @torch.inference_mode()
    def run() -> Tensor:
        return model.decode(latents).audio_values

    return Work(run, task.seconds, n_parameters(model.decoder))


# ---- beside all of it


def track(task: Task) -> Work:
    """Their parts one after the other: the tokens, the latents, the samples."""
    parts = [(musicgen_notes if task.n_note_steps else musicgen)(task), stable_audio(task), oobleck(task)]
    return Work(lambda: [part.run() for part in parts], task.seconds, sum(part.parameters for part in parts))
