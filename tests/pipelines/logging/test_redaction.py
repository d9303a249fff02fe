"""What must not be stored is cut out, and what only looks like it stays."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from core.errors import ParamsError, RowError
from pipelines.logging.all import All
from pipelines.logging.redaction import PATTERNS, cleaner
from tests.logs import row


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("mail ana.b+c@mail.example.org.", "mail [EMAIL]."),
        ("call +49 30 1234567 or (030) 123-4567", "call [PHONE] or [PHONE]"),
        ("555-123-4567, 1-800-555-1234, 06 12 34 56 78", "[PHONE], [PHONE], [PHONE]"),
        ("on 2026-01-05, 05.01.2026, order 123456789012", "on 2026-01-05, 05.01.2026, order 123456789012"),
        ("4111-1111-1111-1111 12, 378282246310005", "[CARD] 12, [CARD]"),
        ("order 4111 1111 1111 1112", "order 4111 1111 1111 1112"),
        ("DE89 3704 0044 0532 0130 00 PLEASE", "[IBAN] PLEASE"),
        ("BE68 5390 0754 7034 THIS MORE, DE88370400440532013000", "[IBAN] THIS MORE, DE88370400440532013000"),
        ("from 192.168.100.200, 2001:db8::1 at 12:30:45", "from [IP], [IP] at 12:30:45"),
        ("see https://x.org/a?b=c and www.foo.de now", "see [URL] and [URL] now"),
        ("0.1234567 of 1 234 567 in 1.2.3, std::string", "0.1234567 of 1 234 567 in 1.2.3, std::string"),
    ],
)  # fmt: skip
def test_patterns(text: str, stored: str) -> None:
    assert cleaner(list(PATTERNS), {}, "")(text) == stored


@pytest.mark.parametrize(
    "piece",
    ["a", "a.", "a@", "a@a.", "1", "1 ", "1-", "0 ( ", "::", "f:", "1.", "(", "+1", "DE89 ", "de8",
     "ab12", "http://", "www.", "4111 1111 1111 ", "é", "[EMAIL]"],
)  # fmt: skip
def test_no_text_of_10_000_characters_takes_long(piece: str) -> None:
    clean, text = cleaner(list(PATTERNS), {}, ""), (piece * 10_000)[:10_000]
    start = time.process_time()
    clean(text)
    assert time.process_time() - start < 1.0  # about 0.02 s; a pattern that explodes takes minutes


def test_only_what_was_asked_for_is_cut_out() -> None:
    text = "ana@example.org, 192.168.0.1, EMP-1234"
    assert All(policy="all").clean(text) == text
    assert All(policy="all", redact=["ip"]).clean(text) == "ana@example.org, [IP], EMP-1234"
    own = All(policy="all", redact=["email"], redact_patterns={"staff": r"EMP-\d{4}"})
    assert own.clean(text) == "[EMAIL], 192.168.0.1, [STAFF]"


def test_rows_are_kept_redacted_and_otherwise_as_they_were() -> None:
    policy = All(policy="all", redact=["email"])
    before = [row(0, text="to ana@example.org"), row(0, "shadow", text="to ana@example.org")]
    kept = policy.keep(before)
    assert [p.text for p in kept.rows] == ["to [EMAIL]", "to [EMAIL]"]
    assert before[0].text == "to ana@example.org"
    assert kept.rows[0].embedding is before[0].embedding
    assert kept.texts == 1


def test_names_and_patterns_are_checked() -> None:
    with pytest.raises(ValidationError, match="some of url, email, iban, card, ip, phone, not 'mail'"):
        All(policy="all", redact=["mail"])
    with pytest.raises(ValidationError, match="a regular expression: x: missing"):
        All(policy="all", redact_patterns={"x": "("})
    with pytest.raises(ValidationError, match="a name of letters"):
        All(policy="all", redact_patterns={"x y": "a"})


def test_a_hook_runs_last_and_its_faults_are_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "upper = str.upper\nnothing = print\nbroken = lambda text: text + chr(0)\nnumber = 3\n"
    (tmp_path / "our_words.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert (
        All(policy="all", redact=["ip"], redact_with="our_words:upper").clean("at 1.1.1.1") == "AT [IP]"
    )
    for name, got in [
        ("our_words:lower", "has no attribute 'lower'"),
        ("our_words:number", "int"),
        ("no_such_module:f", "No module named 'no_such_module'"),
        ("our_words", "has no attribute ''"),
    ]:
        with pytest.raises(ParamsError, match="the function that redacts cannot be used") as fault:
            _ = All(policy="all", redact_with=name).clean
        assert got in str(fault.value)
    for name in ("our_words:nothing", "our_words:broken"):
        with pytest.raises(RowError, match="gave no text that can be stored"):
            All(policy="all", redact_with=name).clean("x")


@pytest.mark.parametrize("pattern", [r"(a|aa)+$", r"(.*)*\d\d\d\d$", r"\s*\s*\s*$"])
def test_a_pattern_that_takes_too_long_cuts_out_the_whole_text(pattern: str) -> None:
    clean = All(policy="all", redact_patterns={"slow": pattern}).clean
    text = {r"(a|aa)+$": "a" * 200 + "b", r"\s*\s*\s*$": " " * 10_000 + "x"}.get(pattern, "a" * 10_000)
    began = time.process_time()
    assert clean(text) == "[SLOW]"
    assert time.process_time() - began < 5  # without a bound: years
    assert clean("fine") == "fine"
