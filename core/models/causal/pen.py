"""One answer while it is written: how its tokens are drawn, who hears it, and where it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from core.models.causal.constraint import Constraint
from core.records.tool_calls import CALLED, Tools, as_text
from core.records.writing import BROKEN, CUT, Piece, Prompted

HALF = "\ufffd"  # a letter of which some bytes are not written yet


class Pen:
    """`text` reads tokens. Tokens are drawn from the fewest that have `top_p` of the chance (nucleus
    sampling, Holtzman et al. 2020). Log-probabilities are those of the model, whatever a constraint
    leaves of its choice: a token that it was forced to is doubtful."""

    def __init__(
        self,
        asked: Prompted,
        text: Callable[[Sequence[int]], str],
        constraint: Constraint | None = None,
    ) -> None:
        self._how, self._listener, self._read = asked.how, asked.listener, text
        self._constraint, self._tools = constraint, Tools.of(asked.how.tools)
        self._told = ""
        self._entries: list[Mapping[str, Any]] = []
        self.text = ""  # so far
        self.finish = ""  # why it ended before a token that ends an answer; "" where it did not

    @property
    def draws(self) -> bool:
        return self._how.temperature > 0

    @property
    def chooses(self) -> bool:
        """Whether the next token may be another than the likeliest."""
        return self.draws or self._constraint is not None

    def choose(self, logits: Any) -> int:
        """(vocabulary,) -> the next token."""
        if self._constraint is None:
            return self._draw(logits)
        allowed = self._constraint.allowed(len(logits))
        token = int(allowed[self._draw(logits[allowed])])
        self._constraint.take(token)
        if self._constraint.failed:
            self.finish = BROKEN
        return token

    def _draw(self, logits: Any) -> int:
        import torch

        if not self._how.temperature:
            return int(logits.argmax())
        chances, tokens = (logits.float() / self._how.temperature).softmax(-1).sort(descending=True)
        chances[chances.cumsum(-1) - chances > self._how.top_p] = 0
        return int(tokens[torch.multinomial(chances, 1, generator=self._random)])

    def ends(self, tokens: Sequence[int], logits: Any) -> bool:
        """Tell of the last of these tokens. Whether the answer ends with it."""
        if self._how.top_logprobs is not None:
            self._entries.append(self._entry(tokens[-1], logits))
        self.text = self._read(tokens)
        found = [at for stop in self._how.stop if (at := self.text.find(stop)) >= 0]
        if found:
            self.text, self.finish = self.text[: min(found)], "stop"
        elif self._constraint and self._constraint.whole:
            self.finish = "stop"
        elif self._listener.gone:
            self.finish = CUT
        elif said := self.text[len(self._told) : self._sure()]:
            self._say(said)
        return bool(self.finish)

    def close(self) -> str:
        """Tell what is left. The whole answer."""
        text, calls = self._tools.calls(self.text)
        if calls:
            self.finish = CALLED
        if len(text) > len(self._told) or calls or self._entries:
            self._say(text[len(self._told) :], calls)
        return as_text(text, calls)

    def _say(self, text: str, calls: Sequence[Mapping[str, Any]] = ()) -> None:
        self._listener.say(Piece(text, tuple(self._entries), tuple(calls)))
        self._told += text
        self._entries = []

    def _sure(self) -> int:
        """How much of the text will stay, whatever follows: a stop may have begun at its end."""
        text = self.text[: self._tools.begins(self.text)].rstrip(HALF)
        begun = (n for stop in self._how.stop for n in range(1, len(stop)) if text.endswith(stop[:n]))
        return len(text) - max(begun, default=0)

    def _entry(self, token: int, logits: Any) -> Mapping[str, Any]:
        scores = logits.float().log_softmax(-1)
        best = scores.topk(self._how.top_logprobs or 0)
        others = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return self._named(token, float(scores[token])) | {
            "top_logprobs": [self._named(each, score) for each, score in others]
        }

    def _named(self, token: int, logprob: float) -> dict[str, Any]:
        text = self._read([token])
        return {"token": text, "logprob": logprob, "bytes": list(text.encode())}

    @cached_property
    def _random(self) -> Any:
        import torch

        made = torch.Generator()
        if self._how.seed is None:
            made.seed()
        else:
            made.manual_seed(self._how.seed % 2**63)
        return made
