"""The `serving:` section of params.yaml."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Literal

from pydantic import Field, field_validator

from core.params import Section

POLL_SECONDS = 0.5  # between two looks at who serves and which keys there are
MAX_BATCH = 32  # texts the model reads together at most
MAX_WAIT = 0.002  # seconds a text waits at most for others to join its batch
WAITING_CALLS = 2  # largest calls whose texts may wait for the model; beyond them callers get 503


class Serving(Section):
    """Where the server listens, what it takes, and how long anything may wait."""

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 opens it to the network")
    port: int = Field(8000, ge=0, le=65535, description="TCP port; 0 takes any free one")
    max_inputs: int = Field(1024, ge=1, description="texts in one call at most")
    timeout_ms: float = Field(
        10_000.0,
        gt=0,
        description="a request not answered in this time gets 504; a caller may ask less",
    )
    cache_entries: int = Field(
        10_000, ge=0, description="texts whose embedding is kept in memory to answer again; 0 is off"
    )
    max_body_bytes: int = Field(4 * 1024 * 1024, ge=1024, description="size of one call at most")
    trusted_proxies: list[str] = Field(
        default_factory=list,
        description="addresses or networks of proxies whose X-Forwarded-For is believed",
    )
    feedback_per_minute: int = Field(
        60, ge=1, description="feedback one key, or one address without keys, may give"
    )
    drain_seconds: float = Field(
        20.0, ge=2, description="a server told to stop has ended what it began in this time"
    )

    engine: Literal["local"] | list[str] = Field(
        "local",
        description="what writes for a model that writes: local, this process, or a list of URLs of "
        "servers that speak OpenAI's protocol and have its weights",
    )

    @field_validator("engine")
    @classmethod
    def _urls(cls, engine: str | list[str]) -> str | list[str]:
        if isinstance(engine, list):
            wrong = [url for url in engine if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", url)]
            if wrong or not engine:
                raise ValueError(f"local, or URLs such as http://localhost:8001; not {wrong}")
        return engine

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, proxies: list[str]) -> list[str]:
        for proxy in proxies:
            ip_network(proxy, strict=False)  # a ValueError says what is wrong with it
        return proxies
