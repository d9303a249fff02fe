"""HTML pages that need nothing but themselves: one layout, one style, light and dark, screen and paper.

A page is a Jinja2 template beside the code that counts for it. It extends core/page.html and takes its
tables, bars and tags from core/parts.html. Every value is escaped, wherever it comes from.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from core.files import write_whole

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
STYLE = HERE / "page.css"


def render(template: Path, **values: object) -> str:
    """A template filled in."""
    return _environment(template.parent).get_template(template.name).render(values)


def write_page(path: Path, template: Path, **values: object) -> Path:
    """The whole page or nothing of it, also when killed."""
    page = render(template, **values)
    # a lone surrogate in somebody's text must not cost the page
    return write_whole(path, page.encode("utf-8", "replace"), durable=False)


@cache
def _environment(folder: Path) -> Environment:
    """Templates of a folder and of this one. `fmt` is Python's own format: {{ 0.5 | fmt(".1%") }}."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader([folder, HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["fmt"] = format
    return made
