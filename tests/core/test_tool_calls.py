"""What models that were trained to call tools write, and what it is to a caller."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.errors import InputError
from core.records.tool_calls import Tools, as_text, for_template

TOOLS = Tools.of({"tools": [{"type": "function", "function": {"name": n}} for n in ("on", "off")]})
ON = '{"name": "on", "arguments": {"room": "hall"}}'
OFF = '{"name": "off", "parameters": {}}'


@pytest.mark.parametrize(
    ("written", "text", "names"),
    [
        pytest.param(ON, "", ["on"], id="bare"),
        pytest.param(f"[{ON}, {OFF}]", "", ["on", "off"], id="list"),
        pytest.param(f"{ON}; {OFF}", "", ["on", "off"], id="two"),
        pytest.param(f"<tool_call>\n{ON}\n</tool_call>", "", ["on"], id="tag"),
        pytest.param(f"Well.\n<tool_call>{ON}</tool_call>\n<tool_call>{OFF}</tool_call>", "Well.",
                     ["on", "off"], id="text"),
        pytest.param("turn it on", "turn it on", [], id="none"),
        pytest.param(ON[:-1], ON[:-1], [], id="half"),
        pytest.param(f"<tool_call>{ON} or so", f"<tool_call>{ON} or so", [], id="more"),
        pytest.param('{"name": "away"}', '{"name": "away"}', [], id="unknown"),
        pytest.param("{}", "{}", [], id="no-call"),
    ],
)  # fmt: skip
def test_calls_of_an_answer(written: str, text: str, names: list[str]) -> None:
    said, calls = TOOLS.calls(written)
    assert (said, [call["function"]["name"] for call in calls]) == (text, names)
    if "on" in names:
        assert json.loads(calls[0]["function"]["arguments"]) == {"room": "hall"}
        assert calls[0]["id"].startswith("call_")
        assert as_text(said, calls).startswith(text)


def test_one_call_is_taken_where_several_may_not_be() -> None:
    one = Tools.of({"tools": list(TOOLS.functions), "parallel_tool_calls": False})
    text, calls = one.calls(f"[{ON}, {OFF}]")
    assert (text, [call["function"]["name"] for call in calls]) == ("", ["on"])


@pytest.mark.parametrize(
    ("written", "sure"), [("Well <tool", 5), ("Well <tool_call>{", 5), ("  {", 0), ("a < b", 5)]
)
def test_nobody_hears_the_beginning_of_a_call(written: str, sure: int) -> None:
    assert TOOLS.begins(written) == sure
    assert Tools().begins(written) == len(written)


def test_a_template_gets_arguments_as_values() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "on", "arguments": '{"n": 1}'}}
    asked: Any = [{"role": "assistant", "content": "", "tool_calls": [call]}]
    assert for_template(asked)[0]["tool_calls"][0]["function"]["arguments"] == {"n": 1}
    call["function"] = {"name": "on", "arguments": '{"n": '}
    with pytest.raises(InputError, match=r"(?s)call of a tool that cannot be read.*messages\[0\]"):
        for_template(asked)
