"""A real encoder of 20 kB with random weights, for tests that need one and not a good one."""

from __future__ import annotations

import string
from collections.abc import Sequence
from pathlib import Path

from core.models.base import Model

WORDS = (
    "pay card lost money send rate weather rain sun cold play song music loud stop the my a is please"
)


def save_tiny_encoder(folder: Path, seed: int = 0) -> str:
    """Writes config, WordPiece tokenizer and safetensors weights; returns the folder's name."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS.split()]
    letters = [p + c for c in string.ascii_lowercase for p in ("", "##")]
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys(pieces + letters))}
    raw = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertModel(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def said(model: Model, texts: Sequence[str]) -> list[tuple[str, float]]:
    """Outputs and how sure the model is of each."""
    return [(answer.output, answer.confidence) for answer in model.answer(texts)]
