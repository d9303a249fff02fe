"""What models that write answered when they were tested: nothing is asked of one of them twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from core import schema
from core.database import Database, insert_new, parts
from core.store.embeddings import text_hash

AT_ONCE = 64  # answers that are made and stored together
_T = schema.tested_answers
Ask = Callable[[list[int]], list[str]]  # places of prompts -> outputs


@dataclass
class TestedAnswerRepository:
    """They go with the texts that were asked."""

    database: Database

    def of(self, weights: str, prompts: Sequence[str], texts: Sequence[str], ask: Ask) -> list[str]:
        """One output a prompt. What is not known is asked for, some at a time, each stored before the
        next: killed and called again, it goes on. `weights` and `prompts` are hashes, `texts` are the
        inputs as the task renders them."""
        known = self._known(weights, prompts)
        missing = list({k: i for i, k in enumerate(prompts) if k not in known}.values())
        for start in range(0, len(missing), AT_ONCE):
            places = missing[start : start + AT_ONCE]
            said = ask(places)
            rows = [
                {
                    "model": weights,
                    "input_hash": prompts[i],
                    "text_hash": text_hash(texts[i]),
                    "output": output,
                }
                for i, output in zip(places, said, strict=True)
            ]
            with self.database.write() as db:
                insert_new(db, _T, rows)
            known |= {row["input_hash"]: row["output"] for row in rows}
        return [known[k] for k in prompts]

    def _known(self, weights: str, prompts: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        with self.database.read() as db:
            for part in parts(dict.fromkeys(prompts)):
                query = select(_T.c.input_hash, _T.c.output).where(_T.c.model == weights)
                rows = db.execute(query.where(_T.c.input_hash.in_(part)))
                found |= {str(key): str(output) for key, output in rows}
        return found
