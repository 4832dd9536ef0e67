"""Prints the tables of docs/training.md: python -m tiny_rnnt.table RESULTS.json..."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tiny_rnnt.settings import FLOAT, SETTINGS, Setting

STEP_MS = 60.0  # of the encoder
SYMBOLS_PER_SECOND = 2.5  # of the test sentences: words over seconds
Row = Mapping[str, Any]


def percent(row: Row | None, test: str, interval: bool = False) -> str:
    """Return a word error rate in percent, or a dash."""
    if row is None or test not in row:
        return "-"
    wer, low, high = (100 * row[test][key] for key in ("wer", "low", "high"))
    return f"{wer:.1f} ({low:.1f} to {high:.1f})" if interval else f"{wer:.1f}"


def errors_table(results: Mapping[str, Row]) -> Iterator[str]:
    """Yield the rows of word error rates."""
    yield "| weights | unseen voices | untuned | seen voices | unseen flite voice |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for setting in (FLOAT, *SETTINGS):
        row, rounded = results.get(setting.name), results.get(f"{setting.name} untuned")
        if row is None and rounded is None:
            continue
        cells = [
            words_of(setting),
            percent(row, "test_unseen", interval=True),
            percent(rounded, "test_unseen"),
            percent(row, "test_seen"),
            percent(row, "test_flite"),
        ]
        yield f"| {' | '.join(cells)} |"


def words_of(setting: Setting) -> str:
    """Return the setting in words."""
    if setting.bits is None:
        return "float"
    zeros = f", {setting.sparsity:.0%} zeros" if setting.sparsity else ""
    return f"{setting.bits} bits{zeros}"


def costs_table(results: Mapping[str, Row]) -> Iterator[str]:
    """Yield the rows of bytes, cycles, real-time factor and energy."""
    yield (
        "| weights | zeros | stream bytes | encoder cycles | joint cycles | prediction cycles"
        " | real-time factor | encoder mJ a second |"
    )
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for setting in SETTINGS:
        row = results.get(setting.name)
        if row is None:
            continue
        encoder, prediction, joint = (
            row["costs"][part] for part in ("encoder", "prediction", "joint")
        )
        cells = [
            words_of(setting),
            f"{encoder['zeros_share']:.0%}",
            f"{sum(part['stream_bytes'] for part in row['costs'].values()):,}",
            *(f"{part['cycles_per_step']:,.0f}" for part in (encoder, joint, prediction)),
            f"{real_time_factor(row['costs']):.4f}",
            f"{encoder['pj_per_step'] / STEP_MS / 1e6:.2f}",
        ]
        yield f"| {' | '.join(cells)} |"


def real_time_factor(costs: Row) -> float:
    """Return time of all parts over the time of the speech: a joint step per encoder output and
    per symbol, a prediction step per symbol."""
    clock_per_ms = costs["encoder"]["cycles_per_step"] / (
        costs["encoder"]["real_time_factor"] * STEP_MS
    )
    symbols = SYMBOLS_PER_SECOND * STEP_MS / 1e3  # per encoder output
    cycles = (
        costs["encoder"]["cycles_per_step"]
        + (1 + symbols) * costs["joint"]["cycles_per_step"]
        + symbols * costs["prediction"]["cycles_per_step"]
    )
    return float(cycles / clock_per_ms / STEP_MS)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="+", help="rows may be spread over files")
    results: dict[str, Row] = {}
    for path in parser.parse_args().results:
        results |= json.loads(path.read_text(encoding="utf-8"))
    print("\n".join([*errors_table(results), "", *costs_table(results)]))


if __name__ == "__main__":
    main()
