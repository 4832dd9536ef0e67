"""Which cascades a graph gets, and how they are cut, with the room that other tensors leave."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from azsim.compiler.place import LeastSpace, parameter_space
from azsim.compiler.spill.cascade import (
    Cascade,
    CascadePlan,
    CascadePlanner,
    find_cascades,
    whole_cycles,
)
from azsim.compiler.tile import tile_graph
from azsim.config import ChipConfig
from azsim.graph.integer import IntegerGraph

LEAST_PERCENT, STEP_PERCENT = 60, 8  # of its free room that a cascade gets where others fail
GAIN_PERCENT = 3  # by which a cascade must beat its nodes one after the other, by estimate


class CascadeChooser:
    """The cascades of one graph."""

    def __init__(self, graph: IntegerGraph, chip: ChipConfig) -> None:
        self._graph, self._chip = graph, chip
        self._least = LeastSpace(graph)
        self._places = {node.name: number for number, node in enumerate(graph.nodes)}
        planners = [CascadePlanner(cascade, chip) for cascade in find_cascades(graph)]
        self._planners = [planner for planner in planners if planner.is_possible]
        self._parameters = parameter_space(tile_graph(graph, chip))
        self._owners = {
            name: planner.cascade.nodes[0].name
            for planner in self._planners
            for node in planner.cascade.nodes
            for name in (node.name, *node.reads, *node.writes)
        }
        self._capacity = chip.abuf.capacity_kb * 1024

    def candidates(self, names: list[str]) -> list[str]:
        """Tensors to move to DRAM in this order: those last that a cascade would not keep."""
        inner = {name for planner in self._planners for name in planner.cascade.inner}
        return [n for n in names if n not in inner] + [n for n in names if n in inner]

    def chosen(
        self, names: list[str], count: int, percents: Mapping[str, int]
    ) -> tuple[list[str], dict[str, CascadePlan]] | None:
        """With the first `count` of `names` in DRAM: what must lie there, and the plans of the
        cascades by their first node. `percents`: of the free room, what a cascade may take, by its
        first node, else all of it. None if it cannot fit."""
        moved = dict.fromkeys(names[:count])
        allowed = set(names)
        for planner in self._planners:
            self._make_room(planner, moved, allowed, percents)
        plans: dict[str, CascadePlan] = {}
        for planner in self._planners:
            plan = self._plan(planner, moved, percents)
            if plan is not None and self._pays(plan, moved):
                plans[plan.cascade.nodes[0].name] = plan
        gone = {name for plan in plans.values() for name in plan.cascade.inner}
        if self._least.without(gone | moved.keys()) + self._parameters > self._capacity:
            return None
        return list(moved), plans

    def tighter(self, percents: Mapping[str, int], tensor: str) -> dict[str, int] | None:
        """`percents` with less for the cascade in which `tensor` found no room; None where there is
        no such cascade, or too little left."""
        name = self._owners.get(tensor.split("#")[0], "")
        share = percents.get(name, 100) - STEP_PERCENT
        return {**percents, name: share} if name and share >= LEAST_PERCENT else None

    def _plan(
        self, planner: CascadePlanner, moved: Collection[str], percents: Mapping[str, int]
    ) -> CascadePlan | None:
        if not moved or not set(moved) & set(planner.cascade.inner):
            share = percents.get(planner.cascade.nodes[0].name, 100)
            return planner.plan(self._free(planner.cascade, moved) * share // 100, moved)
        return None

    def _make_room(
        self,
        planner: CascadePlanner,
        moved: dict[str, None],
        allowed: set[str],
        percents: Mapping[str, int],
    ) -> None:
        """Where a cascade does not fit, move what it reads and makes to DRAM too; where that does
        not help, what is between its nodes."""
        cascade = planner.cascade
        if self._plan(planner, moved, percents) is not None:
            return
        ends = {name for node in cascade.nodes for name in node.reads} | {cascade.results[-1]}
        more = dict.fromkeys(sorted(ends.intersection(allowed).difference(cascade.inner)))
        if self._plan(planner, moved | more, percents) is None:
            more = dict.fromkeys(name for name in cascade.inner if name in allowed)
        moved.update(more)

    def _free(self, cascade: Cascade, moved: Collection[str]) -> int:
        first = self._places[cascade.nodes[0].name]
        last = self._places[cascade.nodes[-1].name]
        gone = {*moved, *cascade.inner}
        return self._capacity - self._parameters - self._least.during(first, last, gone)

    def _pays(self, plan: CascadePlan, moved: Mapping[str, None]) -> bool:
        """True if the nodes one after the other take longer, or do not fit."""
        free = self._free(plan.cascade, moved)
        inner = sum(self._least.size(name) for name in plan.cascade.inner)
        if inner > free or moved.keys() & {*plan.cascade.nodes[0].reads, plan.cascade.results[-1]}:
            return True
        whole = whole_cycles(plan.cascade, self._chip)
        return plan.cycles * (100 + GAIN_PERCENT) < whole * 100
