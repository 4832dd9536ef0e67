"""Figures of the compression tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azsim.report.figure import plain, save_figure
from azsim.report.layer_groups import PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
_MARKS = "osD^vP"
_MOST_NAMED = 12  # layers with a name of their own in the legend


def save_scan_figure(rows: Sequence[Row], path: Path) -> None:
    """Draw a sensitivity scan: signal to noise of the worst output over bytes, a line per layer.

    `rows`: `layer`, `stream_bytes`, `sqnr_db` (None: no noise, left out) and `plan` with `bits` and
    `codebook`, in the order of the lines. Raises ConfigError if `path` cannot be written.
    """
    save_figure(lambda: _scan(rows), path)


def _scan(rows: Sequence[Row]) -> Figure:
    from matplotlib.figure import Figure

    layers = list(dict.fromkeys(row["layer"] for row in rows))
    figure = Figure(figsize=(7.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    for number, layer in enumerate(layers):
        known = [r for r in rows if r["layer"] == layer and r["sqnr_db"] is not None]
        color, mark = PALETTE[number % len(PALETTE)], _MARKS[number // len(PALETTE) % len(_MARKS)]
        axes.plot(
            [r["stream_bytes"] for r in known], [r["sqnr_db"] for r in known], color=color,
            marker=mark, markersize=4, linewidth=1.0, label=layer if number < _MOST_NAMED else None,
        )  # fmt: skip
        for row in known:
            plan, at = row["plan"], (row["stream_bytes"], row["sqnr_db"])
            label = f"c{plan['codebook']}" if plan["codebook"] else str(plan["bits"])
            axes.annotate(label, at, (0, 4), textcoords="offset points", fontsize=6, color=color,
                          ha="center")  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel("bytes of the layer's weight streams")
    axes.set_ylabel("signal to noise of the worst output, dB")
    axes.set_title("Each layer compressed alone; numbers are bits (c: codebook)", fontsize=9)
    axes.grid(color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    for text in axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5)
                            ).get_texts():  # fmt: skip
        plain(text)
    return figure
