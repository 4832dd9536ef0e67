"""What a difference between two runs is made of: parts that sum to it without a remainder.

Everything is per frame, so that runs of different length can be compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from azsim.report.html.parts import number_text
from azsim.report.html.run_data import EnergyAction, Layer, Run

PJ_PER_UJ = 1e6
# Which figures of a layer make the work of a unit.
CAUSES = {
    "memory": ("dram_bytes", "stream_bytes"),
    "decoder": ("stream_bytes", "nonzeros", "bits"),
    "mac": ("products", "products_per_cycle", "nonzeros"),
    "vector": ("rows",),
}
WORK = {
    "memory": "memory_cycles", "decoder": "decode_cycles", "mac": "mac_cycles",
    "vector": "vector_cycles",
}  # fmt: skip
SUMS = ("dram_bytes", "products", *WORK.values())
"""Figures of a layer that are sums over the run."""


@dataclass(frozen=True)
class LayerDelta:
    """A layer in both runs; `a` or `b` is None where a run has no such layer. Cycles per frame.

    `cycles` = `bound` + `waiting`: the change of its lower bound (the work of the unit with the
    most work), and of what it lost on top of it by waiting, or gained by work done ahead.
    """

    name: str
    operator: str
    a: Layer | None
    b: Layer | None
    cycles: float
    bound: float
    dram_bytes: float
    why: str

    @property
    def waiting(self) -> float:
        """The part that is not the lower bound's."""
        return self.cycles - self.bound


@dataclass(frozen=True)
class ActionDelta:
    """An action in both runs, µJ per frame: `count` more or fewer, at the price in A, and the
    rest, which is `price`."""

    component: str
    action: str
    count_a: float
    count_b: float
    count: float
    price: float

    @property
    def total(self) -> float:
        """The whole change."""
        return self.count + self.price


def per_frame(value: float, run: Run) -> float:
    """Return a sum over the run per frame."""
    return value / max(run.frames, 1)


def layer_deltas(a: Run, b: Run) -> list[LayerDelta]:
    """Return every layer of both runs, in the order of A, then those only in B."""
    ours, theirs = _numbered(a.layers), _numbered(b.layers)
    keys = list({**ours, **theirs})
    return [_layer(a, b, ours.get(key), theirs.get(key)) for key in keys]


def _numbered(layers: Sequence[Layer]) -> dict[tuple[str, int], Layer]:
    """Key by name; the n-th of a name meets the n-th of that name."""
    seen: Counter[str] = Counter()
    numbered: dict[tuple[str, int], Layer] = {}
    for layer in layers:
        numbered[layer.name, seen[layer.name]] = layer
        seen[layer.name] += 1
    return numbered


def _layer(run_a: Run, run_b: Run, a: Layer | None, b: Layer | None) -> LayerDelta:
    either = b if a is None else a
    assert either is not None  # a key comes from one of the two
    return LayerDelta(
        either.name, either.operator, a, b,
        _change("span_cycles", run_a, run_b, a, b),
        _change("lower_bound_cycles", run_a, run_b, a, b),
        _change("dram_bytes", run_a, run_b, a, b),
        _why(run_a, run_b, a, b),
    )  # fmt: skip


def _change(name: str, run_a: Run, run_b: Run, a: Layer | None, b: Layer | None) -> float:
    return _of(name, run_b, b) - _of(name, run_a, a)


def _of(name: str, run: Run, layer: Layer | None) -> float:
    """A layer's figure: per frame if it is a sum over the run; 0 where it is unknown."""
    value = 0 if layer is None else getattr(layer, name) or 0
    if name == "decode_cycles":
        value /= run.decoder_units
    summed = name in (*SUMS, "span_cycles", "lower_bound_cycles")
    return per_frame(value, run) if summed else value


def _why(run_a: Run, run_b: Run, a: Layer | None, b: Layer | None) -> str:
    """Say in words which work of the busiest units changed, and which figures make that work."""
    if a is None or b is None:
        return "only in B" if a is None else "only in A"
    texts = []
    for unit in dict.fromkeys((a.bound_by, b.bound_by)):
        if unit not in WORK:
            continue
        before, after = _of(WORK[unit], run_a, a), _of(WORK[unit], run_b, b)
        if before != after:
            causes = [_pair(name, run_a, run_b, a, b) for name in CAUSES[unit]]
            inside = ", ".join(text for text in causes if text)
            work = f"{unit} work {number_text(before)} to {number_text(after)} cycles"
            texts.append(f"{work} ({inside})" if inside else work)
    if a.bound_by != b.bound_by:
        texts.append(f"bound by {a.bound_by}, then {b.bound_by}")
    if not texts and _change("span_cycles", run_a, run_b, a, b):
        return "its work is equal: it waits differently, see the stalls"
    return "; ".join(texts)


def _pair(name: str, run_a: Run, run_b: Run, a: Layer, b: Layer) -> str:
    before, after = _of(name, run_a, a), _of(name, run_b, b)
    if before == after:
        return ""
    return f"{name.replace('_', ' ')} {number_text(before)} to {number_text(after)}"


def action_deltas(a: Run, b: Run) -> list[ActionDelta]:
    """Return every action that changed the energy, the largest change first."""
    ours = {(each.component, each.action): each for each in a.energy.actions}
    theirs = {(each.component, each.action): each for each in b.energy.actions}
    found = [_action(key, a, b, ours.get(key), theirs.get(key)) for key in {**ours, **theirs}]
    changed = [each for each in found if each.count_a != each.count_b or each.total]
    return sorted(changed, key=lambda each: -abs(each.total))


def _action(
    key: tuple[str, str], a: Run, b: Run, one: EnergyAction | None, other: EnergyAction | None
) -> ActionDelta:
    count_a = per_frame(one.count, a) if one else 0.0
    count_b = per_frame(other.count, b) if other else 0.0
    before = per_frame(one.total_pj.nominal, a) if one else 0.0
    after = per_frame(other.total_pj.nominal, b) if other else 0.0
    total = (after - before) / PJ_PER_UJ
    if one is None or other is None or one.pj_each.nominal == other.pj_each.nominal:
        return ActionDelta(*key, count_a, count_b, total, 0.0)
    count = (count_b - count_a) * one.pj_each.nominal / PJ_PER_UJ
    return ActionDelta(*key, count_a, count_b, count, total - count)
