"""Which of the logged requests are worth a label? One file a policy."""

from __future__ import annotations

from typing import Annotated

from core.plugins import of
from pipelines.curation.picking import Curation

CurationPolicy = Annotated[Curation, of(Curation)]
