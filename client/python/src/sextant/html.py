"""Pieces of rich display in notebooks. Whatever a workload printed or named is text: escaped, and cut."""

from __future__ import annotations

import base64
import html
from typing import TYPE_CHECKING, Iterable, Sequence

if TYPE_CHECKING:
    import pandas

_MOST_BYTES = 2000
_SHOWN_ROWS = 20


def text(value: object, most: int = _MOST_BYTES) -> str:
    """Escaped and cut."""
    said = str(value)
    return html.escape(said if len(said) <= most else said[:most] + " …")


def heading(title: str, below: str = "") -> str:
    line = f"<div><b>{text(title)}</b></div>"
    return line + (f"<div>{text(below)}</div>" if below else "")


def card(title: str, rows: Iterable[tuple[str, object]]) -> str:
    """A title over names and values."""
    body = "".join(f"<tr><td style='text-align:left;opacity:.7'>{text(name)}</td>"
                   f"<td style='text-align:left'>{text(value)}</td></tr>" for name, value in rows if str(value))
    return f"{heading(title)}<table>{body}</table>"


def frame(table: "pandas.DataFrame") -> str:
    """The first rows of a table."""
    shown = table.head(_SHOWN_ROWS)
    more = f"<div>… {len(table) - len(shown)} more rows</div>" if len(table) > len(shown) else ""
    return str(shown.to_html(index=False, escape=True, border=0, na_rep="–", float_format=number)) + more


def picture(svg: bytes, caption: str) -> str:
    """An SVG as an image: nothing in it can act."""
    data = base64.b64encode(svg).decode()
    return f"<div><img alt='{text(caption)}' style='max-width:100%' src='data:image/svg+xml;base64,{data}'></div>"


def number(value: float) -> str:
    """Four significant digits, without exponents where they are short."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def notes(lines: Sequence[str], title: str = "") -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{text(line)}</li>" for line in lines)
    return (f"<div><b>{text(title)}</b></div>" if title else "") + f"<ul>{items}</ul>"
