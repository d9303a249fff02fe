"""What the user's own function says of the window: `monitoring.hook` of params.yaml."""

from __future__ import annotations

from collections.abc import Iterator

from core.records import Signal
from monitoring.hooks import values
from monitoring.view import Spec, View

HOOK = Spec("custom", "", "proxy")
SPECS: tuple[Spec, ...] = ()  # what a hook gives is known when it has given it


def measure(view: View) -> Iterator[Signal]:
    """One `custom.NAME` for each number it gives, of all traffic only; `custom` where it fails."""
    hook = view.settings.hook
    if not hook or view.segment:
        return
    if len(view.window) == 0:
        yield view.signal(HOOK, None, "not enough rows: 0", held=False)
        return
    found, fault = values(hook, view.window.rows)
    if fault:
        yield view.signal(HOOK, None, f"not comparable: {fault}", held=False)
    for name, value in found.items():
        note = "" if value is not None else f"not comparable: {hook} gave no finite number"
        yield view.signal(custom(name), value, note, held=False)


def custom(name: str) -> Spec:
    """The spec of a number the hook gives: its side is for the user's rule to say."""
    return Spec(f"custom.{name}", "", "proxy")
