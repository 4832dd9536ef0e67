"""Work of a run per unit and per layer: the rows that summary, CSV and console share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from azsim.counters import LayerCounters
from azsim.program import LayerInfo
from azsim.report.record import RunRecord
from azsim.units import ceil_div

NOTHING = "none"


@dataclass(frozen=True)
class UnitWork:
    """Cycles of work, whether or not it overlapped; `decode_cycles` are summed over `units`."""

    memory_cycles: int
    decode_cycles: int
    mac_cycles: int
    vector_cycles: int
    units: int

    @property
    def bound_by(self) -> str:
        """The unit with the most work: memory, decoder, mac or vector, first of equals; or none."""
        work = {  # times `units`, so that the decoders' share stays a whole number
            "memory": self.memory_cycles * self.units,
            "decoder": self.decode_cycles,
            "mac": self.mac_cycles * self.units,
            "vector": self.vector_cycles * self.units,
        }
        most = max(work, key=lambda unit: work[unit])
        return most if work[most] else NOTHING

    @property
    def lower_bound_cycles(self) -> int:
        """Cycles that the unit with the most work needs if nothing else ever holds it up."""
        decoder = ceil_div(self.decode_cycles, self.units)
        return max(self.memory_cycles, decoder, self.mac_cycles, self.vector_cycles)


@dataclass(frozen=True)
class LayerRow:
    """What is known of one layer; `counters` and `work` are sums over all steps."""

    info: LayerInfo
    counters: LayerCounters
    work: UnitWork


def layer_rows(record: RunRecord) -> tuple[LayerRow, ...]:
    """Return one row per layer of the program, in its order."""
    units = record.chip.decoder.units
    return tuple(
        LayerRow(
            info,
            counted,
            UnitWork(
                counted.memory_cycles,
                counted.decode_cycles,
                counted.mac_cycles,
                counted.vector_cycles,
                units,
            ),
        )
        for info, counted in zip(record.program.layers, record.counters.layers, strict=True)
    )


def run_work(record: RunRecord) -> UnitWork:
    """Return the work of all layers together."""
    layers = record.counters.layers
    return UnitWork(
        sum(layer.memory_cycles for layer in layers),
        sum(layer.decode_cycles for layer in layers),
        sum(layer.mac_cycles for layer in layers),
        sum(layer.vector_cycles for layer in layers),
        record.chip.decoder.units,
    )


def run_traffic(record: RunRecord, *names: str) -> int:
    """Return the bytes of some fields of `Traffic`, of all layers together."""
    layers = record.counters.layers
    return sum(int(getattr(layer.traffic, name)) for layer in layers for name in names)


def longest(spans: Sequence[int], most: int) -> tuple[list[int], list[int]]:
    """Return (places shown, places left) of layers with these spans, both in model order.

    With more than `most` layers the `most` - 1 longest are shown, so that a row is left for the
    others.
    """
    places = list(range(len(spans)))
    if len(spans) <= most:
        return places, []
    chosen = set(sorted(places, key=lambda place: -spans[place])[: most - 1])
    return [p for p in places if p in chosen], [p for p in places if p not in chosen]


def products_per_cycle(record: RunRecord, info: LayerInfo) -> int:
    """Products per cycle of the whole array at the layer's weight width, or else the run's."""
    array = record.chip.mac_array
    return array.lanes * array.products_per_cycle(info.bits or record.bits)


def products(record: RunRecord, info: LayerInfo) -> int:
    """Products of the layer in all steps, zero weights left out if the chip skips them.

    Zero activations, which differ from frame to frame, are not left out.
    """
    skips_weights = record.chip.mac_array.skip in ("weight", "both")
    per_column = info.nonzeros if skips_weights else info.weights
    return per_column * info.activation_columns * record.counters.frames
