"""Functional coverage: which situations a run has met, against the list it should meet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from azsim.rtl_check.scenarios import PATTERNS, RESETTING, Configuration
from azsim_kernels import tile_errors as codes
from azsim_kernels.clocked.decoder_beats import Header

MASKS = ("DENSE", "RAW", "CODED")
CORNER_ONES = (0, 1, 15, 16, 17, 255, 256)


def goals(configuration: Configuration) -> list[str]:
    """Return the bins that a run of `configuration` should meet."""
    ans = configuration.profile == "ans"
    masks = MASKS if ans else MASKS[:2]
    values = ["FIXED", "FIXED+PAL", "CODED", "CODED+PAL"] if ans else ["FIXED"]
    bins = [f"mode {mask}+{value}" for mask in masks for value in values] + ["mode EMPTY"]
    bins += [f"width {mask} {width}" for mask in masks for width in range(1, 9)]
    bins += [f"groups {count}" for count in (1, 2, 3, 4, 5)] + ["groups more"]
    bins += [f"ones of a group {count}" for count in CORNER_ONES]
    unreachable = {codes.UNSUPPORTED} if ans else {codes.BAD_TABLE, codes.NO_TABLE, codes.BAD_STATE}
    bins += [f"code {name}" for code, name in enumerate(codes.NAMES) if code not in unreachable]
    bins += [f"pattern {pattern.name}" for pattern in (*PATTERNS, RESETTING)]
    bins += [f"port {event}" for event in ("waits", "idle", "back to back")]
    bins += ["port half word"] if configuration.port_bits == 128 else []
    bins += [f"output {event}" for event in ("stalled", "stalled while the window is full")]
    bins += [f"reset in {state}" for state in ("idle", "run", "drain", "flush")]
    bins += [f"discarded {count}" for count in ("no word", "one word", "more words")]
    if ans:
        bins += ["mode TABLE", "mode TABLE+PAL", "table loaded before"]
        bins += [f"table copied in {cycles}" for cycles in (20, 24)]
        bins += [f"context {number}" for number in range(4)]
        bins += ["reset in copying"]
    return bins


class Coverage:
    """Counts of bins met, per configuration."""

    def __init__(self, counts: dict[str, int] | None = None) -> None:
        self.counts: Counter[str] = Counter(counts or {})

    def hit(self, name: str) -> None:
        """Count one meeting of bin `name`."""
        self.counts[name] += 1

    def header(self, word: int) -> None:
        """Count the mode, width and groups of a good tile or record from its word 0."""
        h = Header(word)
        if h.special:
            name = "TABLE" if h.is_table else "EMPTY"
            self.hit(f"mode {name}{'+PAL' if h.palette else ''}")
        else:
            value = "CODED" if h.coded_values else "FIXED"
            self.hit(f"mode {MASKS[h.mask]}+{value}{'+PAL' if h.palette else ''}")
            if not h.coded_values:
                self.hit(f"width {MASKS[h.mask]} {h.width}")
        if not h.is_table:
            self.hit(f"groups {h.groups if h.groups <= 5 else 'more'}")


def missing(configuration: Configuration, counts: dict[str, int]) -> list[str]:
    """Return the goals of `configuration` that `counts` does not meet."""
    return [name for name in goals(configuration) if counts.get(name, 0) == 0]


def merge(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    """Return the sums of several counts."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(total)
