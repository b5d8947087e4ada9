"""Small transformers of the library transformers, for language, images and speech."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..entries import Entry, images, tokens

_PACKAGE = "transformers"
_HEADS = 4
_ENCODER = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": _HEADS,
    "intermediate_size": 128,
}
_LANGUAGE = {**_ENCODER, "vocab_size": 100, "max_position_embeddings": 64}


def _model(kind: str, config: str, **settings: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        import transformers

        return getattr(transformers, kind)(getattr(transformers, config)(**settings))

    return make


def _entry(
    name: str, kind: str, config: str, inputs: Callable[[], torch.Tensor], **settings: Any
) -> Entry:
    return Entry(name, _model(kind, config, **settings), inputs, _PACKAGE, _HEADS)


ENTRIES = [
    _entry("bert", "BertForSequenceClassification", "BertConfig", tokens(), **_LANGUAGE),
    _entry("roberta", "RobertaForSequenceClassification", "RobertaConfig", tokens(), **_LANGUAGE),
    _entry(
        "gpt2",
        "GPT2LMHeadModel",
        "GPT2Config",
        tokens(),
        vocab_size=100,
        n_embd=64,
        n_layer=2,
        n_head=_HEADS,
        n_positions=64,
    ),
    _entry(
        "llama",
        "LlamaForCausalLM",
        "LlamaConfig",
        tokens(),
        num_key_value_heads=_HEADS,
        **_LANGUAGE,
    ),
    _entry(
        "t5_encoder",
        "T5EncoderModel",
        "T5Config",
        tokens(),
        vocab_size=100,
        d_model=64,
        d_kv=16,
        d_ff=128,
        num_layers=2,
        num_heads=_HEADS,
    ),
    _entry(
        "hf_vit",
        "ViTForImageClassification",
        "ViTConfig",
        images(),
        image_size=64,
        patch_size=16,
        **_ENCODER,
    ),
    _entry(
        "wav2vec2",
        "Wav2Vec2ForCTC",
        "Wav2Vec2Config",
        lambda: torch.randn(2, 4000),
        conv_dim=(32,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        vocab_size=32,
        **_ENCODER,
    ),
]
