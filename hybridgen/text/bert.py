"""BERT (Devlin et al. 2019, https://arxiv.org/abs/1810.04805), the encoder alone, from a checkpoint of transformers.

The same computation as transformers' `BertModel` without its pooler. It is ours because that class takes longer to
import than a track of a few seconds to make. Modules have the checkpoint's names, without "bert." and "encoder.".

Shapes: B texts, S tokens, E width.
"""

from pathlib import Path
from typing import Any

import safetensors.torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATIONS = {"gelu": F.gelu, "gelu_new": lambda x: F.gelu(x, approximate="tanh"), "relu": F.relu}
UNUSED = ("pooler.", "cls.", "embeddings.position_ids")  # of a checkpoint


class Bert(nn.Module):
    """The encoder that a checkpoint's config.json describes; KeyError for a missing size, ValueError for another kind.

    Positions are absolute, and all tokens of one segment.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        if config.get("position_embedding_type", "absolute") != "absolute":
            raise ValueError(f"position_embedding_type {config['position_embedding_type']!r} should be 'absolute'")
        if config["hidden_act"] not in ACTIVATIONS:
            raise ValueError(f"hidden_act {config['hidden_act']!r} is none of {', '.join(ACTIVATIONS)}")
        self.dim, self.max_tokens = int(config["hidden_size"]), int(config["max_position_embeddings"])
        self.embeddings = BertEmbeddings(config)
        self.layer = nn.ModuleList(BertLayer(config) for _ in range(config["num_hidden_layers"]))

    @classmethod
    def from_pretrained(cls, folder: Path, config: dict[str, Any]) -> "Bert":
        """The encoder with the weights of `folder`, in float32; ValueError where they do not fit `config`."""
        path = folder / "model.safetensors"
        stored = safetensors.torch.load_file(path)
        stored = {name.removeprefix("bert.").removeprefix("encoder."): value.float() for name, value in stored.items()}
        try:
            model = cls(config)
            model.load_state_dict({n: v for n, v in stored.items() if not n.startswith(UNUSED)}, assign=True)
        except (KeyError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"text encoder weights {path} do not fit config.json: {reason}") from None
        return model

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Hidden states (B, S, E) of token ids (B, S); mask (B, S) is True where there is a token, None everywhere."""
        x = self.embeddings(ids)
        for layer in self.layer:
            x = layer(x, None if mask is None else mask[:, None, None, :])
        return x


class BertEmbeddings(nn.Module):
    """Token, position and segment, summed and normalized."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        dim = config["hidden_size"]
        self.word_embeddings = nn.Embedding(config["vocab_size"], dim)
        self.position_embeddings = nn.Embedding(config["max_position_embeddings"], dim)
        self.token_type_embeddings = nn.Embedding(config["type_vocab_size"], dim)
        self.LayerNorm = nn.LayerNorm(dim, config["layer_norm_eps"])

    def forward(self, ids: Tensor) -> Tensor:
        """(B, S) ids -> (B, S, E)."""
        x = self.word_embeddings(ids) + self.token_type_embeddings.weight[0]
        return self.LayerNorm(x + self.position_embeddings.weight[: ids.shape[1]])


class BertLayer(nn.Module):
    """Self-attention, then a feed-forward network; each adds to its input and is normalized after that."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        dim, hidden = config["hidden_size"], config["intermediate_size"]
        self.attention = BertAttention(dim, config["num_attention_heads"], config["layer_norm_eps"])
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(dim, hidden)})
        self.output = Residual(hidden, dim, config["layer_norm_eps"])
        self.activation = ACTIVATIONS[config["hidden_act"]]

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, S, E) -> (B, S, E); mask broadcasts to (B, heads, S, S)."""
        x = self.attention(x, mask)
        return self.output(self.activation(self.intermediate["dense"](x)), x)


class BertAttention(nn.Module):
    """Every token looks at every token."""

    def __init__(self, dim: int, n_heads: int, eps: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.self = nn.ModuleDict({name: nn.Linear(dim, dim) for name in ("query", "key", "value")})
        self.output = Residual(dim, dim, eps)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, S, E) -> (B, S, E)."""
        q, k, v = (project(x).unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for project in self.self.values())
        return self.output(F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2), x)


class Residual(nn.Module):
    """A linear layer's output plus the input of the block, normalized."""

    def __init__(self, in_dim: int, dim: int, eps: float) -> None:
        super().__init__()
        self.dense = nn.Linear(in_dim, dim)
        self.LayerNorm = nn.LayerNorm(dim, eps)

    def forward(self, hidden: Tensor, x: Tensor) -> Tensor:
        """hidden (B, S, in_dim) and x (B, S, E) -> (B, S, E)."""
        return self.LayerNorm(self.dense(hidden) + x)
