"""One HTML page that needs nothing but itself: style, tables, bars. Light and dark, screen and paper.

Everything that comes from outside is text and goes through `text()`; only these functions make tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

from core.files import write_whole

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
$body
</main>
</body>
</html>
""")

STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf8; --card: #fff; --ink: #1c1d21; --soft: #686b75;
  --line: #e4e1dc; --loop: #0072b2; --frozen: #b8b5ae; --good: #00795c; --bad: #b84300; --note: #8a6100;
  --good-wash: #e6f4ef; --bad-wash: #fbece3; --mark: #f1efeb; }
@media (prefers-color-scheme: dark) { :root { --paper: #15161a; --card: #1d1f24; --ink: #ecebe8;
  --soft: #9a9ca6; --line: #32343b; --loop: #56b4e9; --frozen: #666a73; --good: #4cc79f; --bad: #ff9457;
  --note: #e5b94e; --good-wash: #16302a; --bad-wash: #3a2317; --mark: #282a31; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.55 system-ui, -apple-system,
  "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; -webkit-text-size-adjust: 100%; }
main { max-width: 1080px; margin: 0 auto; padding: 48px 24px 80px; }
h1 { font-size: 30px; line-height: 1.2; letter-spacing: -.015em; margin: 0 0 6px; }
h2 { font-size: 19px; letter-spacing: -.005em; margin: 48px 0 4px; }
p { margin: 0 0 12px; max-width: 72ch; } .soft { color: var(--soft); } small { color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 18px 22px;
  margin: 16px 0; }
.verdict { border-left: 6px solid var(--good); background: var(--good-wash); }
.verdict.no { border-left-color: var(--bad); background: var(--bad-wash); }
.verdict strong { font-size: 20px; color: var(--good); } .verdict.no strong { color: var(--bad); }
.verdict ul { margin: 8px 0 0; padding-left: 20px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(128px, 1fr)); gap: 12px;
  margin: 24px 0; }
.figures div { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 14px 16px; }
.figures b { display: block; font-size: 27px; line-height: 1.2; letter-spacing: -.02em;
  font-variant-numeric: tabular-nums; }
.figures span { color: var(--soft); font-size: 13px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; margin: 12px 0; }
th { text-align: left; font-size: 12.5px; font-weight: 600; color: var(--soft);
  border-bottom: 1px solid var(--line); padding: 6px 14px 6px 0; white-space: nowrap; }
td { border-bottom: 1px solid var(--line); padding: 7px 14px 7px 0; vertical-align: top; }
td:first-child { white-space: nowrap; }
td.n, th.n { text-align: right; white-space: nowrap; } tr:last-child td { border-bottom: 0; }
.tag { display: inline-block; border-radius: 99px; padding: 0 9px; font-size: 12.5px; font-weight: 600;
  background: var(--mark); color: var(--soft); white-space: nowrap; }
.tag.good { background: var(--good-wash); color: var(--good); }
.tag.bad { background: var(--bad-wash); color: var(--bad); } .tag.loop { color: var(--loop); }
.bars { display: block; min-width: 200px; padding-top: 3px; }
.bars i { display: block; height: 8px; border-radius: 0 3px 3px 0; margin: 2px 0;
  background: var(--loop); print-color-adjust: exact; } .bars i.before { background: var(--frozen); }
.key { display: inline-block; width: 12px; height: 8px; border-radius: 2px; background: var(--loop); }
.key.before { background: var(--frozen); }
details { margin: 6px 0; } summary { cursor: pointer; color: var(--soft); }
q, .said { overflow-wrap: anywhere; } q { quotes: "\\201c" "\\201d"; }
code, pre { font: 13px/1.6 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
pre { background: var(--mark); border-radius: 8px; padding: 14px 16px; overflow-x: auto;
  margin: 12px 0; }
figure { margin: 20px 0; } figure img { width: 100%; height: auto; border-radius: 10px;
  border: 1px solid var(--line); background: #fff; display: block; }
ol.time { list-style: none; margin: 16px 0; padding: 0; }
ol.time > li { display: grid; grid-template-columns: 104px 112px 1fr; gap: 4px 14px;
  padding: 7px 0; border-top: 1px solid var(--line); }
ol.time > li.fold { display: block; padding-block: 1px; padding-left: 118px; }
ol.time time { color: var(--soft); font-variant-numeric: tabular-nums; }
@media (max-width: 640px) { ol.time > li { grid-template-columns: 1fr; }
  ol.time > li.fold { padding-left: 0; } main { padding: 24px 16px; } }
@media print { main { max-width: none; padding: 0; } .card, .figures div { break-inside: avoid; } }
"""


def text(value: object) -> str:
    """
    >>> text('<b onclick="x">')
    '&lt;b onclick=&quot;x&quot;&gt;'
    """
    return escape(str(value), quote=True)


def tag(word: object, tone: str = "") -> str:
    """A small coloured word; `tone` is good, bad, loop or nothing."""
    return f'<span class="tag {tone}">{text(word)}</span>'


def bars(*values: float | None) -> str:
    """Shares in 0..1 as thin bars, the newest first and those it is compared with below."""
    parts = [
        f'<i{" class=before" if i else ""} style="width:{100 * min(max(v, 0.0), 1.0):.1f}%"></i>'
        for i, v in enumerate(values)
        if v is not None
    ]
    return f'<span class="bars">{"".join(parts)}</span>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """A table of cells that are HTML already; columns in `numbers` stand to the right."""

    def line(cells: Sequence[str], cell: str) -> str:
        marked = (
            f"<{cell}{' class=n' if i in numbers else ''}>{c}</{cell}>" for i, c in enumerate(cells)
        )
        return f"<tr>{''.join(marked)}</tr>"

    body = "\n".join(line(row, "td") for row in rows)
    return (
        f'<div class="wide"><table><thead>{line(head, "th")}</thead><tbody>{body}</tbody></table></div>'
    )


def figures(items: Iterable[tuple[str, str]]) -> str:
    """Headline numbers: (number, what it is)."""
    cells = "".join(
        f"<div><b>{text(number)}</b><span>{text(what)}</span></div>" for number, what in items
    )
    return f'<div class="figures">{cells}</div>'


def write_page(path: Path, title: str, body: Iterable[str], style: str = "") -> Path:
    """The whole page or nothing of it, also when killed. `style` is CSS of this page's own."""
    page = PAGE.substitute(
        title=text(title), style=STYLE + style, body="\n".join(part for part in body if part)
    )
    # a lone surrogate in somebody's text must not cost the page
    return write_whole(path, page.encode("utf-8", "replace"), durable=False)
