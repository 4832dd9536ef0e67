"""The packages that pages are built with: loaded when used, since they may be missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from azsim.errors import ConfigError

PACKAGES = ("jinja2", "plotly")
Figure = dict[str, Any]
"""A figure as plotly.js takes it: `data` (list of traces) and `layout`."""


def require_packages() -> None:
    """Raise ConfigError if a package is missing; ask before a long run."""
    for name in PACKAGES:
        try:
            import_module(name)
        except ImportError:
            message = f"an HTML page needs the package {name}: pip install 'azsim[report]'"
            raise ConfigError(message) from None


def make_figure(traces: list[dict[str, Any]], layout: dict[str, Any]) -> Figure:
    """Return a figure whose every property plotly has checked."""
    from plotly.graph_objects import Figure as PlotlyFigure

    made = PlotlyFigure(data=traces, layout={"template": "none", **layout}).to_plotly_json()
    made["layout"].pop("template")
    figure: Figure = made
    return figure


def plotly_script() -> str:
    """Return the whole of plotly.js (MIT licence, its notice stands at the script's beginning)."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
