"""Whether music sounds like its prompt, judged by a CLAP checkpoint that the user has: none comes with the package.

CLAP (https://arxiv.org/abs/2211.06687) puts sounds and sentences into one space. The checkpoint is a folder in the form
of transformers, with weights as safetensors, for example laion/larger_clap_music.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from hybridgen.audio import Audio
from hybridgen.metrics.spectral import SAMPLE_RATE, mono
from hybridgen.text.encoder import quiet


class Clap:
    """A CLAP model and its processor, from local files alone.

    Raises ValueError, in one line, for a folder that holds no such checkpoint.
    """

    def __init__(self, folder: str | Path, device: str | torch.device = "cpu") -> None:
        folder = Path(folder)
        _check(folder)
        from transformers import ClapModel, ClapProcessor, utils  # seconds to import, and needed here only

        load_model: Any = ClapModel.from_pretrained  # whose type does not know of output_loading_info
        load_processor: Any = ClapProcessor.from_pretrained
        local = {"local_files_only": True, "trust_remote_code": False}
        weights = {"use_safetensors": True, "dtype": torch.float32, "output_loading_info": True}
        try:
            with quiet(utils.logging):
                model, facts = load_model(folder, **weights, **local)
                self.processor = load_processor(folder, **local)
        except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
            raise ValueError(f"{folder} is not a CLAP checkpoint: {' '.join(str(error).split())[:200]}") from None
        if facts["missing_keys"]:
            raise ValueError(f"{folder} is not a CLAP checkpoint: weights miss {sorted(facts['missing_keys'])[:3]} ...")
        self.model = model.to(device).eval()

    @torch.no_grad()
    def similarity(self, samples: Sequence[np.ndarray], prompts: Sequence[str]) -> np.ndarray:
        """Cosines (n,) between sounds, (2, N) or (N,) at 44.1 kHz each, and their prompts.

        A sound longer than the model takes at once (10 s) counts as the mean of windows that cover it evenly: the
        processor itself would take a random part.
        """
        if len(samples) != len(prompts):
            raise ValueError(f"{len(samples)} sounds, but {len(prompts)} prompts")
        pairs = zip(samples, prompts, strict=True)
        return np.array([float(self._embed_audio(sound) @ self._embed_text(prompt)) for sound, prompt in pairs])

    def _embed_audio(self, samples: np.ndarray) -> Tensor:
        """(D,) of length 1."""
        extractor = self.processor.feature_extractor
        stereo = Audio(np.stack([mono(samples)] * 2), SAMPLE_RATE)
        sound, size = stereo.resample(extractor.sampling_rate).samples[0], extractor.nb_max_samples
        starts = np.linspace(0, max(len(sound) - size, 0), -(-len(sound) // size)).astype(int)
        # one window at a time: in a batch the extractor marks a random one as long
        inputs = [
            extractor(sound[start : start + size], sampling_rate=extractor.sampling_rate, return_tensors="pt")
            for start in starts
        ]
        windows = [self.model.get_audio_features(**part.to(self.model.device)).pooler_output[0] for part in inputs]
        mean = nn.functional.normalize(torch.stack(windows), dim=-1).mean(dim=0)
        return nn.functional.normalize(mean, dim=0)

    def _embed_text(self, prompt: str) -> Tensor:
        """(D,) of length 1."""
        tokens = self.processor.tokenizer([prompt], truncation=True, return_tensors="pt").to(self.model.device)
        return nn.functional.normalize(self.model.get_text_features(**tokens).pooler_output[0], dim=0)


def _check(folder: Path) -> None:
    config = folder / "config.json"
    try:
        model_type = json.loads(config.read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError):
        model_type = None
    if model_type != "clap":
        raise ValueError(f"{folder} is not a CLAP checkpoint: config.json has model type {model_type!r}, not 'clap'")
    for files in ("*.safetensors", "*processor_config.json", "tokenizer.json"):
        if not list(folder.glob(files)):
            raise ValueError(f"{folder} is not a CLAP checkpoint: {files} is missing")
