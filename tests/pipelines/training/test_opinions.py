"""Recipes dpo and kto, on a real model of 100 kB."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import InputError
from core.models.causal.model import CausalModel
from core.models.causal.preferences import Preference, RatedAnswers
from core.models.classifier.encoder import load_encoder
from pipelines.training.data import Pair, Rating, Trained, TrainingData, trained
from pipelines.training.dpo import DpoRecipe
from pipelines.training.kto import KtoRecipe
from pipelines.training.opinions import OpinionsRecipe
from tests.core.models.tiny import save_tiny_encoder
from tests.core.models.tiny_causal import tiny_causal
from tests.pipelines.training.test_sft import PAIRS, version

ASKED = [("pay", "card", "cash"), ("rain", "sky", "sun"), ("stop", "end", "go"), ("loud", "yes", "no")]
QUICK = {"epochs": 8, "learning_rate": 3e-3, "batch_size": 2}
DPO = DpoRecipe(policy="dpo", examples=0, **QUICK)
KTO = KtoRecipe(policy="kto", examples=0, **QUICK)
BOTH = pytest.mark.parametrize("recipe", [DPO, KTO], ids=["dpo", "kto"])


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> CausalModel:
    encoder = load_encoder(save_tiny_encoder(tmp_path_factory.mktemp("encoder")), 64)
    return tiny_causal(tmp_path_factory.mktemp("tiny"), encoder)


def opinions(model: CausalModel, asked: list[tuple[str, str, str]] = ASKED) -> TrainingData:
    pairs = [Pair(*each) for each in asked]
    ratings = [r for a, good, bad in asked for r in (Rating(a, good, 1.0), Rating(a, bad, 0.0))]
    return replace(version(model, PAIRS), pairs=pairs, ratings=ratings)


def learnt(
    recipe: OpinionsRecipe, data: TrainingData, start: CausalModel
) -> tuple[Trained, CausalModel]:
    found = trained(recipe, data, start)
    assert isinstance(found.model, CausalModel)
    return found, found.model


def gap(model: CausalModel, asked: str, good: str, bad: str) -> float:
    """By how much the log-probability of the good answer is the larger one, token by token."""
    import torch

    network = model.lm._network

    def scored(answer: str) -> float:
        prompt, tokens = model.lm.prompts.prompt(asked), model.lm.prompts.answer(answer)
        with torch.no_grad():
            said = network(input_ids=torch.tensor([prompt + tokens])).logits[0].float().log_softmax(-1)
        return sum(float(said[len(prompt) - 1 + i, t]) for i, t in enumerate(tokens))

    return scored(good) - scored(bad)


@BOTH
def test_the_better_answer_gains_and_curves_say_so(recipe: OpinionsRecipe, start: CausalModel) -> None:
    found, model = learnt(recipe, opinions(start), start)
    for each in ASKED:
        assert gap(model, *each) > gap(start, *each) + 1
    assert found.curves["margin"][0] == pytest.approx(0, abs=0.02)
    assert found.metrics["margin"] == found.curves["margin"][-1] > 0.1
    assert len(found.curves["loss"]) == found.metrics["steps"]
    assert found.curves["loss"][-1] < found.curves["loss"][0]


def test_dpo_begins_at_the_log_of_two(start: CausalModel) -> None:
    """The reference is the champion itself, whatever else TRL asks for a `ref_model` in memory."""
    found, _ = learnt(DPO, opinions(start), start)
    assert found.curves["loss"][0] == pytest.approx(math.log(2), abs=0.02)


@BOTH
def test_the_same_opinions_give_the_same_weights(recipe: OpinionsRecipe, start: CausalModel) -> None:
    (_, one), (_, two) = (learnt(recipe, opinions(start), start) for _ in range(2))
    assert one.lm.sha256 == two.lm.sha256 != start.lm.sha256


@BOTH
def test_only_new_opinions_train_and_some_old_ones_again(
    recipe: OpinionsRecipe, start: CausalModel
) -> None:
    quick = recipe.model_copy(update={"epochs": 1, "replay": 0.5})
    _, first = learnt(quick, opinions(start, ASKED[:3]), start)
    again, kept = learnt(quick, opinions(start, ASKED[:3]), first)
    assert kept.lm is first.lm
    assert again.notes[-1].endswith("the champion's weights are kept")
    second, _ = learnt(quick, opinions(start), first)
    new = 1 if recipe is DPO else 2
    assert second.metrics[f"new_{recipe.what}s"] == second.metrics[f"replayed_{recipe.what}s"] == new


def test_a_changed_mind_is_a_new_rating(start: CausalModel) -> None:
    quick = KTO.model_copy(update={"epochs": 1})
    _, first = learnt(quick, opinions(start, ASKED[:2]), start)
    changed = replace(
        version(start, PAIRS), ratings=[Rating("pay", "card", 0.2), Rating("pay", "cash", 0.0)]
    )
    found, _ = learnt(quick, changed, first)
    assert found.metrics["new_ratings"] == 1


@BOTH
def test_without_opinions_the_champion_reads_the_new_examples(
    recipe: OpinionsRecipe, start: CausalModel
) -> None:
    some = recipe.model_copy(update={"examples": 2})
    found, model = learnt(some, version(start, PAIRS), start)
    assert model.lm is start.lm
    assert (model.shots, model.examples.targets) == (2, [answer for _, answer in PAIRS])
    assert found.notes == [
        f"no new {recipe.what} among 0 {recipe.what}s: the champion's weights are kept"
    ]


def test_a_pair_is_read_as_it_is_asked_in_service(start: CausalModel) -> None:
    """Examples before the request, but none that is the answer to it."""
    from pipelines.training.weights import Said, as_served

    served = DPO.model_copy(update={"examples": 1})._reading(start, version(start, PAIRS), [0, 1])
    ((one, two),) = as_served(served, [Said("pay", ("card", "cash"))])
    text = start.lm.prompts.tokenizer.decode(one.tokens)
    assert text == "<user>rain</s><assistant>sky</s><user>pay</s><assistant>card</s>"
    assert (
        start.lm.prompts.tokenizer.decode(
            [t for t, on in zip(two.tokens, two.learnt, strict=True) if on]
        )
        == "cash</s>"
    )


@BOTH
def test_an_answer_longer_than_the_context_is_named(recipe: OpinionsRecipe, start: CausalModel) -> None:
    quick = recipe.model_copy(update={"epochs": 1})
    long = [("where", "long " * 40, "no")]
    found, _ = learnt(quick, opinions(start, ASKED + long), start)
    assert found.notes[-1].startswith("left out, as longer than the model's context of 128 tokens: 1 ")
    with pytest.raises(InputError, match=r"(?s)no pair can be learnt.*shorten the pairs"):
        learnt(DPO, opinions(start, long), start)


def test_dpo_may_keep_the_chosen_answers_likely(start: CausalModel) -> None:
    plain, _ = learnt(DPO, opinions(start), start)
    kept, _ = learnt(DPO.model_copy(update={"likelihood": 1.0}), opinions(start), start)
    assert kept.curves["loss"][0] > plain.curves["loss"][0] + 1


def test_good_and_bad_ratings_weigh_the_same_together(start: CausalModel) -> None:
    data = replace(
        version(start, PAIRS),
        ratings=[Rating("pay", x, 1.0) for x in "abcd"] + [Rating("pay", "e", 0.4)],
    )
    _, objective = KTO._task(data, range(5), start)
    assert objective == RatedAnswers(0.1, good=1.0, bad=4.0)


def test_losses_are_those_of_the_papers() -> None:
    """The numbers of TRL are compared in bench/tuning.py."""
    import torch

    from core.models.causal.packing import TokenSequence
    from core.models.causal.preferences import PreferenceRow, RatedRow
    from core.models.causal.reading import TokenLogits

    said = {1: -1.0, 2: -2.5, 3: -0.5, 4: -3.0}  # log-probability of the one token of a sequence

    def read(rows: list[TokenSequence]) -> TokenLogits:
        shares = [math.exp(said[row.tokens[0]]) for row in rows]
        logits = torch.tensor([[math.log(share), math.log(1 - share)] for share in shares])
        return TokenLogits(logits, torch.zeros(len(rows), dtype=torch.long), torch.arange(len(rows)))

    one, two, three, four = (TokenSequence([n], [True]) for n in (1, 2, 3, 4))
    loss, told = Preference(0.5).loss(read, [PreferenceRow(one, two, (-2.0, -2.0))])
    margin = 0.5 * (1.0 - -0.5)
    assert float(loss) == pytest.approx(math.log1p(math.exp(-margin)), abs=1e-4)
    assert told["margin"] == pytest.approx(margin, abs=1e-4)
    rated = [RatedRow(one, three, True, (-2.0, -1.5)), RatedRow(two, four, False, (-2.0, -2.5))]
    loss, told = RatedAnswers(0.5, bad=2.0).loss(read, rated)
    drift = ((-0.5 - -1.5) + (-3.0 - -2.5)) / 2
    good, bad = (1 / (1 + math.exp(-0.5 * x)) for x in (1.0 - drift, drift - -0.5))
    assert float(loss) == pytest.approx(((1 - good) + 2.0 * (1 - bad)) / 2, abs=1e-4)
    assert told["drift"] == pytest.approx(drift, abs=1e-4)


def test_a_model_saved_after_dpo_answers_as_it_did(start: CausalModel, tmp_path: Path) -> None:
    _, model = learnt(DPO.model_copy(update={"epochs": 1}), opinions(start), start)
    model.save(tmp_path)
    read = CausalModel.load(tmp_path)
    assert read.learnt == model.learnt
    assert [a.output for a in read.answer(["pay"])] == [a.output for a in model.answer(["pay"])]
