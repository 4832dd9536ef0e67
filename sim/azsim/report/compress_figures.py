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


_PANELS = (
    ("bits_per_weight", "bits per weight of the streams"),
    ("frame_ms", "median latency of a frame, ms"),
    ("energy_uj", "energy of a frame, uJ"),
)
_MARK_OF_TILE = "ov^sDP*X<>"


def save_formats_figure(study: Mapping[str, Any], path: Path) -> None:
    """Draw a format study: three figures over the weights' bits, a colour per profile and a mark
    per tile size, the chip's own format ringed.

    `study`: `model`, `chip` and `formats`, rows with `profile`, `tile`, `bits`, `own` and the
    figures, None where the chip cannot have the format. Raises ConfigError if `path` cannot be
    written.
    """
    save_figure(lambda: _formats(study), path)


def _formats(study: Mapping[str, Any]) -> Figure:
    from matplotlib.figure import Figure

    rows = [row for row in study["formats"] if not row["problem"]]
    profiles = list(dict.fromkeys(row["profile"] for row in study["formats"]))
    tiles = list(dict.fromkeys(row["tile"] for row in study["formats"]))
    levels = sorted({row["bits"] for row in rows}, reverse=True)
    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    for axes, (key, label) in zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True):
        for colour, profile in zip(PALETTE, profiles, strict=False):
            for place, tile in enumerate(tiles):
                mine = [r for r in rows if (r["profile"], r["tile"]) == (profile, tile)]
                known = [r for r in mine if r[key] is not None]
                axes.plot(
                    [levels.index(r["bits"]) for r in known], [r[key] for r in known],
                    color=colour, marker=_MARK_OF_TILE[place % len(_MARK_OF_TILE)], markersize=3.5,
                    linewidth=0.8, alpha=0.85, label=f"{profile}, tiles of {tile}",
                )  # fmt: skip
        for row in rows:
            if row["own"] and row[key] is not None:
                axes.plot(levels.index(row["bits"]), row[key], "o", markersize=11, color="black",
                          markerfacecolor="none", label=f"{study['chip']} as it is")  # fmt: skip
        axes.set_xticks(range(len(levels)), [str(level) for level in levels])
        axes.set_xlabel("bits")
        axes.set_title(label, fontsize=9)
        highest = max((row[key] for row in rows if row[key] is not None), default=1.0)
        axes.set_ylim(0, 1.06 * highest or 1.0)
        axes.grid(color="#e6e6e6", linewidth=0.6)
        axes.set_axisbelow(True)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=7)
    caption = "chips az1, az2 and dense are assumptions, and so is their energy: compare formats"
    figure.supxlabel(caption, fontsize=7, color="#555555", x=0.01, ha="left")
    plain(figure.suptitle(f"{study['model']} on {study['chip']}", fontsize=10))
    return figure
