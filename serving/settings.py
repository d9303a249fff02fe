"""The `serving:` section of params.yaml."""

from __future__ import annotations

from pydantic import Field

from core.params import Section


class Serving(Section):
    """Where the server listens and what it takes. There is no login, so it stays on loopback."""

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 opens it to the network")
    port: int = Field(8000, ge=0, le=65535, description="TCP port; 0 takes any free one")
    max_inputs: int = Field(1024, ge=1, description="texts in one call at most")
