"""How many new topics are open. They are remembered from window to window, so whoever has the store
counts them: no measure of a view does."""

from __future__ import annotations

from monitoring.view import Spec

NEW = Spec("topics.new", "topics", "proxy", held=False)
