"""params.yaml is read strictly: every fault at once, each with its line and what was meant."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from core import params
from core.errors import ParamsError
from core.removed_settings import GONE
from everloop.init import init
from everloop.reference import settings
from flows.strategy import Strategy
from tests import ROOT
from tests.command_line import everloop, refused

MADE = ("build", "demo", "replays", "out", "artifacts")
TEMPLATE = (
    Path(__file__).with_name("params.yaml").read_text(encoding="utf-8")
)  # more keys than init writes


POLICIES = (
    "cover, disagreement, entropy, feedback, impact, least-confidence, like-these, margin, mix, novelty, "
    "predicted-loss, random, representative, stratified"
)


def shipped(*suffixes: str) -> list[Path]:
    """The repository's files that end so, and nothing that installing or running it has made."""
    found: list[Path] = []
    for folder, inside, files in os.walk(ROOT):
        inside[:] = [n for n in inside if n not in MADE and (n == ".github" or not n.startswith("."))]
        found += [Path(folder, n) for n in files if n.endswith(suffixes)]
    assert found
    return sorted(found)


def line(part: str) -> int:
    """The line of the template that has this."""
    [found] = [i for i, text in enumerate(TEMPLATE.splitlines(), 1) if part in text]
    return found


@pytest.fixture
def faults(tmp_path: Path) -> Any:
    """The faults that params.yaml has after replacing parts of the template."""

    def found(*changes: tuple[str, str]) -> str:
        text = TEMPLATE
        for old, new in changes:
            assert text.count(old) == 1
            text = text.replace(old, new)
        return fault_of(tmp_path / "params.yaml", text)

    return found


def fault_of(path: Path, text: str | bytes) -> str:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ParamsError) as caught:
        params.load(path, Strategy)
    return str(caught.value).replace(str(path), "PATH")


def whole(*lines: str) -> str:
    count = f"{len(lines)} fault{'s' * (len(lines) > 1)}"
    listed = "".join(f"  - {x}\n" for x in lines)
    tail = "  where:    PATH\n  do:       mend the lines above, then: everloop check"
    return f"params.yaml has {count}\n{listed}{tail}"


@pytest.mark.parametrize("path", shipped("params.yaml"), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_shipped_strategy_loads(path: Path) -> None:
    assert params.load(path, Strategy).model.encoder


def test_every_shipped_yaml_is_yaml() -> None:
    for path in shipped(".yaml", ".yml"):
        assert yaml.safe_load(path.read_text(encoding="utf-8")), path


def test_an_unknown_key(faults: Any) -> None:
    assert faults(("max_tokens", "max_token")) == whole(
        f"line {line('max_tokens')}, model.max_token: unknown key; did you mean 'max_tokens'?"
    )


def test_a_key_like_no_other(faults: Any) -> None:
    assert faults(("max_tokens: 128", "colour: red")) == whole(
        f"line {line('max_tokens')}, model.colour: unknown key; known: encoder, generator, max_tokens, runtime"
    )


def test_an_unknown_section(faults: Any) -> None:
    extra = TEMPLATE.count("\n") + 1
    assert faults(("  rollout_hours: 4\n", "  rollout_hours: 4\ntrigger: {}\n")) == whole(
        f"line {extra}, trigger: unknown key; did you mean 'triggers'?"
    )


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("port: 8000", "port: high", "serving.port: got 'high', expected a valid integer"),
        ("port: 8000", "port: '8000'", "serving.port: got '8000', expected a valid integer"),
        ("port: 8000", "port: 8000.5", "serving.port: got 8000.5, expected a valid integer"),
        ("port: 8000", "port:", "serving.port: got None, expected a valid integer"),
        ("port: 8000", "port: 70000", "serving.port: got 70000, expected less than or equal to 65535"),
        ("max_drop: 0.02", "max_drop: yes", "testing.max_drop: got True, expected a valid number"),
        (
            "shares: [0.25]",
            "shares: [0.5, 0.25]",
            "rollout.shares: got [0.5, 0.25], expected growing shares between 0 and 1, such as "
            "[0.05, 0.25]",
        ),
        (
            "shares: [0.25]",
            "shares: [a]",
            "rollout.shares.0: got 'a', expected a valid number",
        ),
    ],
)
def test_a_value_of_the_wrong_type_or_size(faults: Any, old: str, new: str, fault: str) -> None:
    assert faults((old, new)) == whole(f"line {line(old)}, {fault}")


def test_an_unknown_policy(faults: Any) -> None:
    assert faults(("policy: mix ", "policy: mixx ")) == whole(
        f"line {line('policy: mix ')}, curation.policy: got 'mixx', "
        f"expected one of {POLICIES}; did you mean 'mix'?"
    )


def test_the_other_keys_of_an_unknown_policy_are_looked_at_too(faults: Any) -> None:
    """As those of the policy that was meant, however deep."""
    told = faults(
        ("policy: head ", "policy: haed\n  min_label_rows: soon\n  rte: 3 "),
        ("policy: mix ", "policy: mixx\n  audit_shar: 7 "),
        ("policy: need ", "policy: evn\n    carry: 3 "),
        ("- policy: drift", "- policy: dirft\n      coldown: 3"),
    )
    assert [x.split(", ", 1)[1].split("; ")[0] for x in told.splitlines() if "- line" in x] == [
        f"curation.policy: got 'mixx', expected one of {POLICIES}",
        "curation.pacing.policy: got 'evn', expected one of even, need",
        "curation.pacing.carry: unknown key",
        "curation.audit_shar: unknown key",
        "triggers.of.0.policy: got 'dirft', expected one of accuracy, all, any, at-least, "
        "cost-aware, drift, error-budget, labels, periodic",
        "triggers.of.0.coldown: unknown key",
        "training.policy: got 'haed', expected one of distill, dpo, examples, finetune, head, kto, pretrain, sft",
        "training.min_label_rows: got 'soon', expected a valid integer",
        "training.rte: unknown key",
    ]


@pytest.mark.parametrize("policy", ["policy: best", "policy: 3", "# none"])
def test_what_is_a_fault_under_every_policy_is_one_under_none(faults: Any, policy: str) -> None:
    told = faults(
        ("policy: mix ", f"{policy}\n  shaer: 1 #"), ("labels_per_day: 20", "labels_per_day: soon")
    )
    assert [x.split(", ", 1)[1].split(";")[0] for x in told.splitlines() if "- line" in x][1:] == [
        "curation.labels_per_day: got 'soon', expected a valid integer",
        "curation.shaer: unknown key",
    ]


def test_no_policy(faults: Any) -> None:
    assert faults(
        ("  policy: mix             # of cover alone; all policies are in docs/curation.md\n", "")
    ) == whole(f"line {line('curation:')}, curation: no `policy:`, expected one of {POLICIES}")


def test_a_fault_inside_a_list_of_policies(faults: Any) -> None:
    assert faults(
        ("at_least: 72", "at_leest: 72"), ("cooldown_days: 1", "cooldown_days: soon")
    ) == whole(
        f"line {line('cooldown_days')}, triggers.of.0.cooldown_days: got 'soon', "
        "expected a valid number",
        f"line {line('at_least')}, triggers.of.1.at_leest: unknown key; did you mean 'at_least'?",
    )


def test_a_missing_section(tmp_path: Path) -> None:
    text = TEMPLATE.replace("model:\n  encoder: sentence-transformers/all-MiniLM-L6-v2\n", "")
    text = text.replace("  max_tokens: 128\n", "")
    assert fault_of(tmp_path / "params.yaml", text) == whole("line 1, model: missing")


def test_several_faults_in_the_order_of_the_file(faults: Any) -> None:
    changes = (
        ("encoder:", "encodr:"),
        ("port: 8000", "port: high"),
        ("min_requests: 25", "min_requests: 0"),
    )
    assert faults(*changes) == whole(
        f"line {line('encoder:')}, model.encodr: unknown key; did you mean 'encoder'?",
        f"line {line('port:')}, serving.port: got 'high', expected a valid integer",
        f"line {line('min_requests')}, rollout.min_requests: got 0, expected greater than or equal to 1",
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "params.yaml must be a mapping of stages\n  where:    PATH\n  got:      nothing"),
        ("# nothing\n", "params.yaml must be a mapping of stages\n  where:    PATH\n  got:      nothing"),
        ("- a\n", "params.yaml must be a mapping of stages\n  where:    PATH\n  got:      a list"),
        ("a\n", "params.yaml must be a mapping of stages\n  where:    PATH\n  got:      a str"),
        (
            "model: [\n",
            "params.yaml is not YAML\n  where:    PATH, line 2\n  got:      expected the node content, "
            "but found '<stream end>'",
        ),
        (
            b"model: caf\xe9\n",
            "params.yaml cannot be read\n  where:    PATH\n  got:      'utf-8' codec can't decode byte "
            "0xe9 in position 10: invalid continuation byte",
        ),
        (
            "model: {}\nmodel: {}\n",
            "params.yaml is not YAML\n  where:    PATH, line 2\n  got:      the key 'model' is there twice",
        ),
        (
            "model: !!python/object/apply:os.system [ls]\n",
            "params.yaml is not YAML\n  where:    PATH, line 1\n  got:      could not determine a "
            "constructor for the tag 'tag:yaml.org,2002:python/object/apply:os.system'",
        ),
    ],
)  # fmt: skip
def test_not_a_strategy_at_all(tmp_path: Path, text: str | bytes, fault: str) -> None:
    found = fault_of(tmp_path / "params.yaml", text)
    assert found == fault + "\n  do:       mend the file, then: everloop check"


def test_every_key_says_what_it_means() -> None:
    silent = [name for name, field in keys(Strategy, "") if not field.description]
    assert silent == []
    assert len(list(keys(Strategy, ""))) > 60


def keys(shape: type[BaseModel], at: str) -> Iterator[tuple[str, Any]]:
    """Every key of every policy of every section, however deep."""
    for name, field in shape.model_fields.items():
        if name == "policy" or (shape is Strategy):
            pass
        else:
            yield f"{at}{shape.__name__}.{name}", field
        if name != "of":  # the triggers again
            for part in models(field.annotation):
                yield from keys(part, f"{at}{name}.")


def models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for a in get_args(annotation) for m in models(a)]


def test_check_prints_the_strategy_with_its_defaults(tmp_path: Path) -> None:
    place = init(tmp_path / "shop")
    before = sorted(place.root.rglob("*"))
    ran = everloop("check", "-w", place.root)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[:5] == [
        "task:",
        "  policy: classification",
        "model:",
        "  encoder: auto  # a Hugging Face name, a local folder, `ngrams` (character n-grams: any "
        "language, no download), `both` (those beside all-MiniLM-L6-v2), or `auto`: all-MiniLM-L6-v2 "
        "unless the first rows show that one of those is better",
        "  generator: HuggingFaceTB/SmolLM2-135M-Instruct  # what writes the answers of the task "
        "generation: a causal language model, by its Hugging Face name, or a local folder",
    ]
    assert ran.out.splitlines()[-1] == f"# {place.params} has no fault"
    (tmp_path / "printed.yaml").write_text(ran.out, encoding="utf-8")
    assert params.load(tmp_path / "printed.yaml", Strategy) == params.load(place.params, Strategy)
    assert sorted(place.root.rglob("*")) == before


def test_check_tells_what_is_named_and_not_there(tmp_path: Path) -> None:
    place = init(tmp_path / "shop")
    named: dict[str, Any] = {
        "model": {"encoder": str(tmp_path / "encoder")},
        "labeling": {"guideline": "guide.md"},
        "monitoring": {"hook": "nowhere.signals:mine"},
        "curation": {
            "policy": "mix",
            "of": [
                {"share": 1, "part": {"policy": "like-these", "collection": "refnds"}},
                {"share": 1, "part": {"policy": "like-these"}},
            ],
        },
    }
    place.params.write_text(yaml.safe_dump({**yaml.safe_load(TEMPLATE), **named}))
    folder = place.root / "data" / "collections"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "refunds.csv").write_text("text,label\nback,refund\n")
    before = sorted(place.root.rglob("*"))
    at = place.params.read_text().splitlines()

    def line(part: str) -> int:
        return next(i for i, text in enumerate(at, 1) if part in text)

    assert refused("check", "-w", place.root) == (
        "error: params.yaml names 4 things that are not there\n"
        f"  - line {line('guideline')}, labeling.guideline: 'guide.md': nothing there, expected a Markdown "
        f"or text file at {place.root / 'guide.md'}\n"
        f"  - line {line('encoder')}, model.encoder: '{tmp_path / 'encoder'}': nothing there, expected a "
        "folder with an encoder, or a name such as sentence-transformers/all-MiniLM-L6-v2\n"
        f"  - line {line('hook')}, monitoring.hook: 'nowhere.signals:mine': no package or module nowhere, "
        "expected one of the workspace, or installed\n"
        f"  - line {line('collection: refnds')}, curation.of.0.part.collection: 'refnds': no such "
        "collection, expected data/collections/refnds.csv or one of refunds; did you mean 'refunds'?; "
        "everloop collection add refnds FILE\n"
        f"  where:    {place.params}\n"
        "  do:       make them or mend the lines above, then: everloop check\n"
    )
    assert sorted(place.root.rglob("*")) == before
    (tmp_path / "encoder").mkdir()
    (place.root / "guide.md").mkdir()
    named["monitoring"] = {"hook": "json:dumps"}
    named["curation"]["of"][0]["part"]["collection"] = "refunds"
    place.params.write_text(yaml.safe_dump({**yaml.safe_load(TEMPLATE), **named}))
    assert "names 1 thing that is not there" in refused("check", "-w", place.root)
    (place.root / "guide.md").rmdir()
    (place.root / "guide.md").write_text("# How to label")
    assert everloop("check", "-w", place.root).code == 0
    (place.root / "data" / "labels.json").write_text("[]")
    assert refused("check", "-w", place.root).startswith("error: this is no label set")


def test_check_reports_the_faults_and_does_no_work(tmp_path: Path) -> None:
    place = init(tmp_path / "shop")
    place.params.write_text(
        TEMPLATE.replace("port: 8000", "prt: 8000").replace("policy: mix ", "policy: mxi ")
    )
    before = sorted(place.root.rglob("*"))
    assert refused("check", "-w", place.root) == (
        "error: params.yaml has 2 faults\n"
        f"  - line {line('port:')}, serving.prt: unknown key; did you mean 'port'?\n"
        f"  - line {line('policy: mix ')}, curation.policy: got 'mxi', "
        f"expected one of {POLICIES}; did you mean 'mix'?\n"
        f"  where:    {place.params}\n"
        "  do:       mend the lines above, then: everloop check\n"
    )
    assert sorted(place.root.rglob("*")) == before


def test_signals_by_their_old_names_are_understood_and_told(tmp_path: Path) -> None:
    """accuracy.ipw and four others are one accuracy by now."""
    place = init(tmp_path / "shop")
    text = place.params.read_text(encoding="utf-8")
    rule = "  rules:\n    - {policy: range, signal: accuracy.powered, segment: plan=pro, low: 0.7}\n"
    text = text.replace("  window_hours: 24\n", f"  window_hours: 24\n{rule}")
    trigger = "    - {policy: accuracy, signal: accuracy.ipw, floor: 0.7}\n"
    place.params.write_text(text.replace("  of:\n", f"  of:\n{trigger}"), encoding="utf-8")
    strategy = params.load(place.params, Strategy)
    assert strategy.monitoring.rules[0].signal == "accuracy"
    ran = everloop("check", "-w", place.root)
    assert ran.out.splitlines()[-3:] == [
        "# line 18, monitoring.rules.0.signal: accuracy.powered is called accuracy now",
        "# line 31, triggers.of.0.signal: accuracy.ipw is called accuracy now",
        f"# {place.params} has no fault",
    ]


def test_a_key_that_is_gone_says_what_became_of_it(faults: Any) -> None:
    assert faults(("window_hours: 24", "window_hours: 24\n  cooldown_days: 2.0")) == whole(
        f"line {line('window_hours') + 1}, monitoring.cooldown_days: this setting is gone; "
        "the cool-down is one day, always. Delete the line"
    )


def test_what_is_gone_is_not_there() -> None:
    text = settings()
    for key in GONE:
        stage, _, name = key.partition(".")
        part = text.partition(f"\n## {stage}\n")[2].partition("\n## ")[0]
        assert f"`{name}`" not in part, key
