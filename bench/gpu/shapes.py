"""Language models with random weights: enough to see how fast one learns and writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Shape:
    """A decoder as Llama's, and how much of it is measured."""

    name: str
    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    steps: int
    batch: int = 16
    longest: int = 1024  # tokens of a row
    new_tokens: int = 64  # of an answer

    @property
    def body(self) -> int:
        """Weights that every token is multiplied with, without the head."""
        size = self.hidden // self.heads
        attention = 2 * self.hidden * size * (self.heads + self.kv_heads)
        return self.layers * (attention + 3 * self.hidden * self.inner)

    @property
    def head(self) -> int:
        return self.hidden * self.vocabulary


SMALL = Shape("135M, as SmolLM2", 576, 1536, 30, 9, 3, 49152, steps=80)
LARGE = Shape("1B, as Llama 3.2", 2048, 8192, 16, 32, 8, 49152, steps=40)
TINY = Shape("tiny", 64, 128, 2, 4, 2, 512, steps=16, batch=4, longest=64, new_tokens=8)


def save(shape: Shape, folder: Path, on: str) -> None:
    """Config, a tokenizer of bytes and random weights, as `load_language_model` reads them."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=8192,
        eos_token_id=0,
        bos_token_id=None,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    with torch.device(on):
        network: Any = LlamaForCausalLM(config)
    network.to(torch.bfloat16).save_pretrained(folder)
    letters = ["</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    raw = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(letters)}, merges=[]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>", pad_token="</s>")
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    tokenizer.save_pretrained(folder)
