"""What these tests share with those of the whole loop."""

from tests.code.conftest import home, inbox

__all__ = ["home", "inbox"]
