"""What lies in the on-chip weight store, and what each byte there is worth."""

from __future__ import annotations

from dataclasses import dataclass

from azsim.graph.text import one_line
from azsim.program import Program
from azsim_kernels import isa

DRAM = 0


@dataclass(frozen=True)
class Placement:
    """Weights of one layer: `kept_bytes` of its `stream_bytes` lie in the store; a step fetches
    `fetched_bytes` of the layer's tiles, `saved_bytes` of them from the store.
    """

    layer: str
    stream_bytes: int
    kept_bytes: int
    fetched_bytes: int
    saved_bytes: int

    @property
    def benefit(self) -> float:
        """Bytes of memory traffic that a kept byte saves per step: how often it is fetched."""
        return self.fetched_bytes / self.stream_bytes


def placements(program: Program) -> list[Placement]:
    """Return one row per layer with weights, the largest benefit per byte first."""
    fetches = program.commands[program.commands["opcode"] == isa.FETCH]
    rows = []
    for number, layer in enumerate(program.layers):
        if not layer.stream_bytes:
            continue
        mine = fetches["arg"][fetches["layer"] == number]
        sizes, sources = mine[:, 1], mine[:, 2]
        saved = int(sizes[sources != DRAM].sum())
        rows.append(
            Placement(layer.name, layer.stream_bytes, layer.resident_bytes, int(sizes.sum()), saved)
        )
    return sorted(rows, key=lambda row: -row.benefit)


def placement_lines(program: Program, capacity_bytes: int) -> list[str]:
    """Return the choice as text: a head, then a line per layer; nothing for a chip without store or
    a program without weights."""
    rows = placements(program)
    if not capacity_bytes or not rows:
        return []
    kept = sum(row.kept_bytes for row in rows)
    saved = sum(row.saved_bytes for row in rows)
    lines = [
        f"weight store: {kept:,} of {capacity_bytes:,} bytes, {saved:,} bytes a step less from DRAM"
    ]
    lines += [
        f"  {one_line(row.layer)}: {row.kept_bytes:,} of {row.stream_bytes:,} bytes kept,"
        f" each saves {row.benefit:.2f} a step"
        for row in rows
    ]
    return lines
