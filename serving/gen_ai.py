"""One answer of a model that writes, in the names of OpenTelemetry's conventions for generative AI.

    chat everloop    gen_ai.response.model = everloop-3, gen_ai.usage.output_tokens = 23, ...

https://opentelemetry.io/docs/specs/semconv/gen-ai/ (development). What was asked and said is in it only
where OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT is true, redacted as the log has it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from core.records.answers import Clean, GenerationDetail, Prediction, Request
from core.records.writing import BROKEN, Decoding

NAME = "everloop"
CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


def wants_content() -> bool:
    return os.environ.get(CONTENT, "").lower() == "true"


def span_of(
    request: Request, answer: Prediction, clean: Clean | None = None
) -> tuple[str, dict[str, Any]] | None:
    """Name and attributes of a span; None for an answer that was not written. With `clean`, which
    redacts a text, what was asked and said, too."""
    if not isinstance(answer.detail, GenerationDetail):
        return None
    operation = "chat" if request.messages else "text_completion"
    model = f"{NAME}-{request.version}" if request.version else NAME
    told = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": NAME,
        "gen_ai.request.model": model,
        "gen_ai.response.id": answer.prediction_id,
        "gen_ai.response.model": f"{NAME}-{answer.model_version}",
        **_wanted(request.how or Decoding()),
        **_written(answer.detail),
        **(_content(request, answer, clean) if clean else {}),
    }
    return f"{operation} {model}", {name: value for name, value in told.items() if value is not None}


def _wanted(how: Decoding) -> dict[str, Any]:
    form = (how.response_format or {}).get("type")
    return {
        "gen_ai.request.max_tokens": how.max_tokens,
        "gen_ai.request.temperature": how.temperature,
        "gen_ai.request.top_p": how.top_p,
        "gen_ai.request.seed": how.seed,
        "gen_ai.request.stop_sequences": list(how.stop) or None,
        "gen_ai.output.type": form and ("text" if form == "text" else "json"),
    }


def _written(detail: GenerationDetail) -> dict[str, Any]:
    first = detail.first_token_ms
    return {
        "gen_ai.response.finish_reasons": [detail.finish_reason],
        "gen_ai.response.time_to_first_chunk": None if first is None else first / 1000,
        "gen_ai.usage.input_tokens": detail.prompt_tokens,
        "gen_ai.usage.output_tokens": detail.completion_tokens,
        "error.type": "EngineError" if detail.finish_reason == BROKEN else None,
    }


def _content(request: Request, answer: Prediction, clean: Clean) -> dict[str, str]:
    asked = request.messages or ({"role": "user", "content": request.text},)
    asked = tuple({"role": m["role"], "content": clean(str(m.get("content") or ""))} for m in asked)
    said = {"role": "assistant", "content": clean(answer.output)}
    reason = getattr(answer.detail, "finish_reason", "")
    return {
        "gen_ai.input.messages": _parts(asked),
        "gen_ai.output.messages": _parts([said], finish_reason=reason),
    }


def _parts(messages: Sequence[Mapping[str, Any]], **more: str) -> str:
    told = [
        {"role": m["role"], "parts": [{"type": "text", "content": m["content"]}], **more}
        for m in messages
    ]
    return json.dumps(told, ensure_ascii=False)
