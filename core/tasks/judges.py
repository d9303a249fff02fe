"""How right an output is beside the answer that somebody knows to be right: 0..1.

exact     the same text, white space at its ends apart
json      the same JSON value, whatever the order of keys; an output that is no JSON is wrong
schema    JSON that keeps to the JSON Schema `task.json_schema`, whatever its values
words-f1  the F1 of its words beside those of the right answer (Rajpurkar et al., SQuAD, EMNLP 2016)
chrf      the F-score of its runs of 1 to 6 characters (Popovic, chrF, WMT 2015), by sacrebleu
"""

from __future__ import annotations

import importlib
import json
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from core.errors import ParamsError

Judge = Callable[[str, str], float]  # an output, and the right answer
MOST_SHOWN = 300  # characters of a fault
NAMES = ("exact", "json", "schema", "words-f1", "chrf")


def judge_of(name: str, schema: Mapping[str, Any] | None) -> Judge:
    """The judge of a name, or a function at MODULE:FUNCTION. Raises ParamsError."""
    if name == "schema":
        return lambda output, _target: float(keeps(output, schema or {}))
    if ":" in name:
        return _function(name)
    return {"exact": exact, "json": same_json, "words-f1": words_f1, "chrf": chrf}[name]


def exact(output: str, target: str) -> float:
    return float(output.strip() == target.strip())


def same_json(output: str, target: str) -> float:
    """
    >>> same_json('{"a": 1, "b": [true]}', '{"b":[true], "a":1.0}')
    1.0
    >>> same_json('{"a": 1}', '{"a": true}'), same_json("a", "a")
    (0.0, 0.0)
    """
    try:
        return float(_form(parsed(output)) == _form(parsed(target)))
    except ValueError:
        return 0.0


def parsed(text: str) -> Any:
    """The JSON value of a text. Raises ValueError, for NaN too, which JSON has not."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _form(value: Any) -> Any:
    """A value whose equality is JSON's: in Python True is 1."""
    if isinstance(value, dict):
        return "object", {k: _form(v) for k, v in value.items()}
    if isinstance(value, list):
        return "array", [_form(v) for v in value]
    return ("truth", value) if isinstance(value, bool) else value


def keeps(output: str, schema: Mapping[str, Any]) -> bool:
    """Whether an output is JSON that keeps to a JSON Schema; {} is any JSON."""
    try:
        return bool(_validator(json.dumps(schema, sort_keys=True)).is_valid(parsed(output)))
    except ValueError:
        return False


def schema_break(output: str, schema: Mapping[str, Any]) -> str:
    """Where JSON does not keep to a JSON Schema, and why; "" where it does.

    >>> schema_break('{"a": "x"}', {"properties": {"a": {"type": "number"}}})
    "$.a: 'x' is not of type 'number'"
    """
    import jsonschema

    found = _validator(json.dumps(schema, sort_keys=True)).iter_errors(parsed(output))
    worst = jsonschema.exceptions.best_match(found)
    return f"{worst.json_path}: {worst.message}"[:MOST_SHOWN] if worst else ""


@cache
def _validator(schema: str) -> Any:
    import jsonschema

    known = json.loads(schema)
    return jsonschema.validators.validator_for(known)(known)


def schema_fault(schema: Mapping[str, Any]) -> str:
    """What is wrong with a JSON Schema; "" for a good one."""
    import jsonschema

    try:
        jsonschema.validators.validator_for(schema).check_schema(schema)
    except jsonschema.SchemaError as fault:
        return f"{fault.json_path}: {fault.message}"
    return ""


def words_f1(output: str, target: str) -> float:
    """
    >>> words_f1("The red car.", "a red bus"), words_f1("", "the")
    (0.5, 1.0)
    """
    said, right = _words(output), _words(target)
    if not said or not right:
        return float(said == right)
    same = (Counter(said) & Counter(right)).total()
    return 2 * same / (len(said) + len(right))


def _words(text: str) -> list[str]:
    """Lower case, without punctuation and articles, as SQuAD has it."""
    plain = text.lower().translate(str.maketrans("", "", string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", plain).split()


def chrf(output: str, target: str) -> float:
    """
    >>> chrf("a red bus", "a red bus"), chrf("", "a red bus")
    (1.0, 0.0)
    """
    return float(_chrf().sentence_score(output, [target]).score) / 100


@cache
def _chrf() -> Any:
    from sacrebleu.metrics import CHRF

    return CHRF()


def _function(path: str) -> Judge:
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as fault:
        raise _unusable(path, str(fault)) from None
    if not callable(found):
        raise _unusable(path, f"a {type(found).__name__}")

    def judged(output: str, target: str) -> float:
        score = found(output, target)
        if not isinstance(score, int | float) or not 0 <= score <= 1:
            raise _unusable(path, f"{score!r} for {output[:60]!r} beside {target[:60]!r}")
        return float(score)

    return judged


def _unusable(path: str, got: str) -> ParamsError:
    return ParamsError(
        "the function that judges cannot be used",
        where=f"task.judge: {path}",
        got=got,
        expected="MODULE:FUNCTION, a function of an output and the right answer that gives 0..1",
        do="mend it, or the name in params.yaml; everloop check",
    )
