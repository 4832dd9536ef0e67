"""Puts a page together: one file, nothing from elsewhere, readable without scripts as well."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azsim._atomic import replaced_file
from azsim.report.html.library import plotly_script, require_packages
from azsim.report.html.parts import Section

ASSETS = Path(__file__).parent / "assets"


@dataclass(frozen=True)
class Page:
    """A page: `title`, one line of `about`, a `notice` to be read first, and its sections.

    `data`: what its scripts need beside the figures; `scripts`: names of its own ones.
    """

    title: str
    about: str
    notice: str
    sections: Sequence[Section]
    version: str
    data: dict[str, Any] = field(default_factory=dict)
    scripts: Sequence[str] = ()


def save_page(page: Page, path: Path) -> None:
    """Write `page` to `path`. Raises ConfigError: missing packages, or it cannot be written."""
    text = render(page)
    with replaced_file(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def render(page: Page) -> str:
    """Return the page as HTML; equal pages are equal text. Raises ConfigError if packages miss."""
    require_packages()
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ASSETS),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    scripts = [plotly_script(), *map(_asset, (*page.scripts, "page.js"))]
    plots = [plot for section in page.sections for plot in section.plots]
    figures = {plot.name: {**plot.figure, "views": plot.views} for plot in plots}
    return environment.get_template("page.html.j2").render(
        page=page,
        style=_asset("page.css"),
        scripts=scripts,
        hashes=[_hash(script) for script in scripts],
        figures=_json(figures),
        data=_json(page.data),
    )


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """Return what a content security policy calls this script: only known scripts may run."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _json(value: Any) -> str:
    """Return JSON that cannot end the script element it stands in, whatever names are in it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
