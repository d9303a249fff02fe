"""Content codings of a request's body: what is taken, and how far it may grow."""

from __future__ import annotations

import zlib

from core.errors import DataError
from serving.protocols.faults import MediaTypeError

WINDOW = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # zlib's numbers for the formats
PIECE = 1 << 16  # bytes that are unpacked at a time
MEMBERS = 1024  # a gzip body may be several, one after another


def coding_of(header: str) -> str:
    """The one coding of a body, "" for none. Raises MediaTypeError for any other, or for several.

    >>> [coding_of(h) for h in ("", "GZIP", "identity, x-gzip")]
    ['', 'gzip', 'x-gzip']
    """
    asked = [name.strip().lower() for name in header.split(",")]
    found = [name for name in asked if name not in ("", "identity")]
    if not found:
        return ""
    if len(found) == 1 and found[0] in WINDOW:
        return found[0]
    raise MediaTypeError(
        "this content encoding is not read here",
        where="header content-encoding",
        got=ascii(header),
        expected="gzip, deflate or none",
        do="send the body as it is, or compressed once",
    )


def unpack(body: bytes, coding: str, most: int) -> bytes:
    """The body without its coding. Stops at `most` bytes: a small body can unpack to a very large one.

    Raises DataError for one that is broken, or grows beyond that.
    """
    found, at, members = bytearray(), 0, 0
    while members == 0 or (at < len(body) and coding != "deflate" and body[at]):  # padded with NUL
        at = _member(body, at, coding, found, most)
        members += 1
        if members > MEMBERS:
            raise _broken(coding, f"more than {MEMBERS} members")
    if body[at:].strip(b"\0"):
        raise _broken(coding, f"{len(body) - at} bytes after its end")
    return bytes(found)


def _member(body: bytes, at: int, coding: str, found: bytearray, most: int) -> int:
    """Unpack one member into `found`; the byte where it ends."""
    unpacker = zlib.decompressobj(WINDOW[coding])
    while not unpacker.eof:
        piece = unpacker.unconsumed_tail
        if not piece:
            piece = body[at : at + PIECE]
            at += len(piece)
        if not piece:
            raise _no_end(coding, f"{len(found)} bytes, unpacked, and no end", most)
        try:
            found += unpacker.decompress(piece, most + 1 - len(found))
        except zlib.error as fault:
            raise _broken(coding, str(fault)) from None
        if len(found) > most:
            raise _no_end(coding, f"more than {most} bytes, unpacked", most)
    return at - len(unpacker.unused_data)


def _broken(coding: str, got: str) -> DataError:
    return DataError(
        f"the body is not {coding}", where="body", got=got, expected=f"a whole {coding} body"
    )


def _no_end(coding: str, got: str, most: int) -> DataError:
    return DataError(
        f"the {coding} body is cut off or too large",
        where="body",
        got=got,
        expected=f"a whole {coding} body of at most {most} bytes, unpacked",
        do="send it in several calls, or raise serving.max_body_bytes in params.yaml",
    )
