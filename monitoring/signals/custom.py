"""What code of the user says of the window: `monitoring.hook` and `monitoring.signals`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from core.records.signals import Signal
from monitoring.hooks import told, values
from monitoring.view import Spec, View

FAILED = Spec("custom", "", "proxy", held=False)
Told = Callable[[], tuple[dict[str, float | None], str]]
SPECS: tuple[Spec, ...] = ()  # what they give is known when they have given it


def measure(view: View) -> Iterator[Signal]:
    """One `custom.NAME` for each number they give; `custom` where one of them fails."""
    seen: set[str] = set()
    for whose, call in _asked(view):
        if len(view.window) == 0:
            yield view.signal(FAILED, None, "not enough rows: 0")
            return
        found, fault = call()
        if twice := sorted(seen & found.keys()):
            fault = f"{whose} gave {twice[0]}, which another gives, too"
        if fault:
            yield view.signal(FAILED, None, f"not comparable: {fault}")
        for name in found.keys() - seen:
            note = "" if found[name] is not None else f"not comparable: {whose} gave no finite number"
            yield view.signal(custom(name), found[name], note)
        seen |= found.keys()


def _asked(view: View) -> Iterator[tuple[str, Told]]:
    """The function, of all traffic only; and the classes, which know what a segment is."""
    hook = view.settings.hook
    if hook and not view.segment:
        yield hook, lambda: values(hook, view.window.rows)
    for own in view.settings.signals:
        yield own.policy, lambda own=own: told(own.policy, lambda: own.measure(view))  # type: ignore[misc]


def custom(name: str) -> Spec:
    """The spec of a number they give: its side is for the user's rule to say."""
    return Spec(f"custom.{name}", "", "proxy", held=False)
