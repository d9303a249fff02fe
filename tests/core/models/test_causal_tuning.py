from __future__ import annotations

import json
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.models.causal import checkpoints, tuning
from core.models.causal.adapters import AdapterBase, base_of
from core.models.causal.language_model import LanguageModel, load_language_model, read_network
from core.models.causal.objectives import Likelihood, Objective
from core.models.causal.packing import Demonstrations, TokenSequence, sequences
from core.models.causal.preferences import Preference, PreferenceRow, RatedAnswers, RatedRow
from core.models.causal.reading import log_probabilities, reader
from core.models.causal.tuning import Tuned, TuningPlan, tune
from tests.core.models.tiny_causal import save_tiny_causal

PLAN = TuningPlan(learning_rate=1e-2, batch_size=4, seed=1)
PAIRS = [("pay", "card"), ("rain", "sky"), ("play a song", "music"), ("stop", "end")] * 4


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return load_language_model(save_tiny_causal(tmp_path_factory.mktemp("tiny")))


def passes(lm: LanguageModel, epochs: int = 3) -> list[list[TokenSequence]]:
    rows = Demonstrations(
        [asked for asked, _ in PAIRS], [answer for _, answer in PAIRS], np.eye(len(PAIRS))
    )
    return [sequences(lm.prompts, rows, 0, 0.0, seed) for seed in range(epochs)]


def outputs(lm: LanguageModel) -> list[str]:
    prompts = [lm.prompts.prompt(asked) for asked, _ in PAIRS[:4]]
    return [lm.prompts.text(one.tokens) for one in lm.write(prompts, 12)]


def mean_loss(network: Any, batch: list[TokenSequence]) -> float:
    return float(reader(network)(batch).losses.mean().detach())


def weights(lm: LanguageModel) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(next(lm.folder.glob("*.safetensors")))


def changed(before: LanguageModel, after: LanguageModel) -> set[str]:
    import torch

    one, other = weights(before), weights(after)
    return {k for k in one if not torch.equal(one[k].to(torch.bfloat16), other[k])}


def test_it_learns_the_answers_and_leaves_the_start_alone(lm: LanguageModel) -> None:
    tuned = tune(lm, passes(lm, 40), PLAN)
    assert outputs(tuned.lm) == [answer for _, answer in PAIRS[:4]]
    assert len(tuned.losses) == 40 * 4
    assert tuned.losses[-1] < tuned.losses[0] - 0.5
    assert load_language_model(str(lm.folder)).sha256 == lm.sha256


def test_the_loss_is_that_of_transformers_on_the_answer_alone(lm: LanguageModel) -> None:
    import torch

    network = read_network(lm.folder, torch.float32)
    batch = passes(lm, 1)[0][:3]
    width = max(len(row.tokens) for row in batch)
    ids = torch.tensor([row.tokens + [0] * (width - len(row.tokens)) for row in batch])
    mask = torch.tensor([[1] * len(row.tokens) + [0] * (width - len(row.tokens)) for row in batch])
    labels = torch.full_like(ids, -100)
    for at, row in enumerate(batch):
        begin = row.learnt.index(True)
        labels[at, begin : len(row.tokens)] = ids[at, begin : len(row.tokens)]
        answer = lm.prompts.text(row.tokens[begin:])
        assert answer in dict(PAIRS).values()
        assert len(row.tokens) - begin == len(answer) + 1  # and the end
    expected = float(network(input_ids=ids, attention_mask=mask, labels=labels).loss.detach())
    assert mean_loss(network, batch) == pytest.approx(expected, rel=1e-2)


def test_logits_that_are_no_product_are_taken_from_the_model(lm: LanguageModel) -> None:
    import torch

    class Scaled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = read_network(lm.folder, torch.float32)

        def get_decoder(self) -> Any:
            return self.inner.get_decoder()

        def get_output_embeddings(self) -> Any:
            return self.inner.get_output_embeddings()

        def forward(self, **asked: Any) -> Any:
            out = self.inner(**asked)
            out.logits = out.logits * 100
            return out

    batch = passes(lm, 1)[0][:1]
    plain = mean_loss(read_network(lm.folder, torch.float32), batch)
    assert mean_loss(Scaled(), batch) > 5 * plain


@pytest.mark.parametrize(
    ("part", "moved"),
    [
        pytest.param({"layers": 1}, lambda name: ".layers.1." in name, id="layers"),
        pytest.param({"rank": 4}, lambda name: "_proj.weight" in name, id="lora"),
        pytest.param({}, lambda _: True, id="all"),
    ],
)
def test_only_what_is_asked_for_moves(lm: LanguageModel, part: dict[str, int], moved: Any) -> None:
    tuned = tune(lm, passes(lm), replace(PLAN, **part))
    assert changed(lm, tuned.lm) == {name for name in weights(lm) if moved(name)}
    assert tuned.losses[-1] < tuned.losses[0]


def test_an_adapter_lies_beside_the_weights_and_is_trained_further(
    lm: LanguageModel, tmp_path: Path
) -> None:
    import torch

    plan = replace(PLAN, rank=4)
    first = tune(lm, passes(lm), plan).lm
    saved = tmp_path / "first"
    first.copy_files(saved)
    second = tune(load_language_model(str(saved)), passes(lm), plan).lm
    for tuned in (first, second):
        assert base_of(tuned.folder) == AdapterBase(lm.name, lm.sha256)
        said = json.loads((tuned.folder / "adapter" / "adapter_config.json").read_text())
        assert (said["base_model_name_or_path"], said["r"], said["peft_type"]) == (lm.name, 4, "LORA")
        expected = with_adapter(lm, tuned.folder / "adapter")
        for name, weight in weights(tuned).items():
            assert torch.equal(weight, expected[name].to(torch.bfloat16)), name
    assert changed(first, second)
    tune(second, passes(lm), PLAN).lm.copy_files(saved)
    assert base_of(saved) is None


def with_adapter(lm: LanguageModel, adapter: Path) -> dict[str, Any]:
    """Weights of the base and the adapter, as PEFT adds them up."""
    import torch
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = PeftModel.from_pretrained(read_network(lm.folder, torch.float32), adapter)
        return dict(whole.merge_and_unload().state_dict())


@pytest.mark.parametrize("other", ["rank", "base"])
def test_an_adapter_that_cannot_go_on_is_begun_anew(
    other: str, lm: LanguageModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = load_language_model(save_tiny_causal(tmp_path / "base", seed=3))
    first = tune(base, passes(lm, 1), replace(PLAN, rank=4)).lm
    if other == "base":
        save_tiny_causal(tmp_path / "base", seed=4)
    second = tune(first, passes(lm, 1), replace(PLAN, rank=2 if other == "rank" else 4)).lm
    assert base_of(second.folder) == AdapterBase(first.name, first.sha256)
    assert "a new adapter" in caplog.text


def test_the_same_seed_gives_the_same_weights(lm: LanguageModel) -> None:
    once, again = tune(lm, passes(lm), PLAN), tune(lm, passes(lm), PLAN)
    other = tune(lm, passes(lm), replace(PLAN, seed=2))
    assert (once.losses, once.lm.sha256) == (again.losses, again.lm.sha256)
    assert once.lm.sha256 != other.lm.sha256


def test_rows_of_like_length_share_a_batch() -> None:
    lengths = np.random.default_rng(0).integers(10, 100, 640).tolist()
    rows = [TokenSequence([at] * n, [True] * n) for at, n in enumerate(lengths)]
    steps = tuning._steps([rows, rows], PLAN)
    assert sorted(row.tokens[0] for step in steps for row in step) == sorted([*range(640)] * 2)
    padded = sum(len(step) * max(len(row.tokens) for row in step) for step in steps)
    assert padded < 1.1 * 2 * sum(lengths)


KILLED = """
import os, signal, sys
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM  # once for all children
from core.models.causal import checkpoints, tuning
from core.models.causal.language_model import load_language_model
from tests.core.models.test_causal_tuning import JOBS, PLAN

checkpoints.EVERY = 0.0
lm = load_language_model(sys.argv[1])
for point in map(int, sys.argv[3:]):
    def killed(what, at=0, total=None, unit=""):
        if (what, at) == ("training", point):
            os.kill(os.getpid(), signal.SIGKILL)
    tuning.doing = killed
    if child := os.fork():
        if os.waitpid(child, 0)[1] != signal.SIGKILL:
            sys.exit("a child lived")
    else:
        rows, objective = JOBS[sys.argv[2]](lm)
        tuning.tune(lm, rows, PLAN, objective)
        os._exit(0)
"""


def supervised(lm: LanguageModel) -> tuple[list[list[Any]], Objective]:
    return passes(lm), Likelihood(0.1)


def preferred(lm: LanguageModel) -> tuple[list[list[Any]], Objective]:
    """Each answer is better than the next one's."""
    rows = [sequences(lm.prompts, Demonstrations([a], [b], np.eye(1)), 0, 0.0, 0)[0] for a, b in PAIRS]
    flat = log_probabilities(lm.folder, rows)
    both = zip(rows, [*rows[1:], rows[0]], flat, [*flat[1:], flat[0]], strict=True)
    pairs = [PreferenceRow(one, two, (p, q)) for one, two, p, q in both]
    return [pairs] * 3, Preference(0.1)


def rated(lm: LanguageModel) -> tuple[list[list[Any]], Objective]:
    pairs, _ = preferred(lm)
    rows = [
        RatedRow(row.chosen, row.rejected, at % 2 > 0, row.reference) for at, row in enumerate(pairs[0])
    ]
    return [rows] * 3, RatedAnswers(0.1, bad=2.0)


JOBS = {"sft": supervised, "dpo": preferred, "kto": rated}


@pytest.mark.slow
@pytest.mark.parametrize("job", list(JOBS))
def test_a_training_that_is_killed_again_and_again_ends_the_same(
    job: str, lm: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At steps of the first pass, of the second and of the last."""
    rows, objective = JOBS[job](lm)
    whole = tune(lm, rows, PLAN, objective)
    monkeypatch.setenv("EVERLOOP_CACHE", str(tmp_path))
    points = ["1", "2", "5", "7", "8", "11"]
    asked = [sys.executable, "-c", KILLED, str(lm.folder), job, *points]
    said = subprocess.run(asked, timeout=3600, check=False, capture_output=True, text=True)
    assert (said.returncode, said.stderr) == (0, "")
    assert len(list((tmp_path / "training").glob("*.safetensors"))) == 1
    steps: list[int] = []
    monkeypatch.setattr(tuning, "doing", lambda _what, at, *_: steps.append(at))
    tuned: Tuned = tune(lm, rows, PLAN, objective)
    assert steps == [11]
    assert (tuned.curves, tuned.lm.sha256) == (whole.curves, whole.lm.sha256)
    assert not list((tmp_path / "training").glob("*"))


def test_checkpoints_that_nobody_came_back_for_go(
    lm: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    monkeypatch.setenv("EVERLOOP_CACHE", str(tmp_path))
    left, fresh = (tmp_path / "training" / f"{name}.safetensors" for name in "ab")
    left.parent.mkdir()
    for file in (left, fresh):
        file.write_bytes(b"")
    os.utime(left, (0, 0))
    checkpoints.Checkpoint([], {}, None)
    assert (left.exists(), fresh.exists()) == (False, True)
