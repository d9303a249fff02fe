"""Text tensors of the Open Inference Protocol: in JSON, or as bytes after it.

An element of a BYTES tensor is its length (4 bytes, little-endian) and then so many bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from core.errors import DataError
from serving.protocols.faults import too_many

_LENGTH = struct.Struct("<I")


def split(body: bytes, json_bytes: str | None) -> tuple[bytes, bytes]:
    """The JSON of a body and the binary data after it. `json_bytes` is the header that says where.

    >>> split(b'{}rest', "2")
    (b'{}', b'rest')
    """
    if json_bytes is None:
        return body, b""
    if json_bytes.isascii() and json_bytes.isdigit() and len(json_bytes) < 12:
        length = int(json_bytes)
        if length <= len(body):
            return body[:length], body[length:]
    raise DataError(
        "this header cannot be read",
        where="Inference-Header-Content-Length",
        got=ascii(json_bytes),
        expected=f"the length of the JSON, at most that of the body: {len(body)}",
    )


def decode(raw: bytes, where: str, most: int) -> list[str]:
    """The texts of a BYTES tensor, which are at most so many.

    >>> decode(encode(["my card?", ""]), "inputs[0]", 2)
    ['my card?', '']
    """
    texts, at = [], 0
    try:
        while at < len(raw):
            (length,) = _LENGTH.unpack_from(raw, at)
            at += _LENGTH.size
            if at + length > len(raw):
                raise ValueError(f"an element of {length} bytes, {len(raw) - at} left")
            texts.append(raw[at : at + length].decode())
            at += length
            if len(texts) > most:
                raise too_many(f"more than {most}", most)
    except (struct.error, ValueError) as fault:
        raise DataError(
            "the binary data cannot be read",
            where=where,
            got=str(fault),
            expected="for each text its length in UTF-8 (4 bytes, little-endian), then the text",
        ) from None
    return texts


def encode(texts: Sequence[str]) -> bytes:
    """The BYTES tensor of texts."""
    raw = [t.encode() for t in texts]
    return b"".join(part for r in raw for part in (_LENGTH.pack(len(r)), r))


def floats(values: Sequence[float]) -> bytes:
    """The FP32 tensor of numbers."""
    return struct.pack(f"<{len(values)}f", *values)
