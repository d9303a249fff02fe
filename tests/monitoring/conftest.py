"""What these tests share with those of the whole loop."""

from tests.code.conftest import inbox, session

__all__ = ["inbox", "session"]
