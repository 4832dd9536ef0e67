"""The nodes of a cascade: strips in sections, buffers that keep rows (see `cascade`)."""

from __future__ import annotations

from dataclasses import replace

from azsim.compiler.spill.blocks import Range, block_of
from azsim.compiler.spill.cascade import CascadePlan, Strip
from azsim.compiler.spill.rewrite import Rewrite, renamed
from azsim.graph.integer import (
    TRACK_DMA,
    TRACK_MAC,
    TRACK_VECTOR,
    FetchRows,
    Linear,
    Move,
    Section,
)
from azsim.graph.integer_nodes import Piece


class CascadeWriter:
    """Writes cascades into a graph under rewriting, one after the other."""

    def __init__(self, new: Rewrite) -> None:
        self._new = new
        self._sections = 0  # so many are used

    def write(self, plan: CascadePlan) -> None:
        """Append all sections of a cascade."""
        last = max(plan.cascade.stages)
        writer = _Writer(self._new, plan, self._sections)
        count = len(plan.strips) + last + 1  # behind the last one the last result is written back
        for section in range(count):
            writer.section(section)
        self._sections += count


class _Writer:
    """One cascade. `_buffers[i][s]`: where strip s of the result of node i lies, and the element
    that this buffer begins with; `_lines[i]`: the buffer of a result whose rows are kept."""

    def __init__(self, new: Rewrite, plan: CascadePlan, first_section: int) -> None:
        self._new, self._plan, self._first = new, plan, first_section
        self._cascade = plan.cascade
        self._buffers: list[dict[int, tuple[str, int]]] = [{} for _ in self._cascade.nodes]
        self._lines: dict[int, str] = {}
        self._fetched: dict[tuple[int, int, str], str] = {}

    def section(self, number: int) -> None:
        """Fetch for the next section, write back what the last one made, and between them the work
        of each node on its strip, the last nodes first."""
        stages = self._cascade.stages
        if number == 0:
            self._reserve()
            self._fetch(0)
        self._write_back(number - 1)
        self._fetch(number + 1)
        for track in (TRACK_MAC, TRACK_VECTOR):
            for stage in reversed(range(max(stages) + 1)):
                for i in range(len(stages)):
                    if stages[i] == stage and self._track(i) == track:
                        strip = self._strip(number - stage, i)
                        if strip is not None:
                            self._work(number, i, number - stage, strip)

    def _reserve(self) -> None:
        """Begin the lives of what the whole cascade needs, so that it is placed first."""
        at = self._at(0, TRACK_VECTOR)
        for i, (node, name) in enumerate(
            zip(self._cascade.nodes, self._cascade.results, strict=True)
        ):
            if name in self._plan.lines:
                part = (0, self._plan.lines[name])
                self._lines[i] = f"{node.name}#lines"
                self._new.part(name, self._lines[i], part)
                self._new.view(name, self._lines[i], f"{self._lines[i]}/all", part, 0, at)
            elif i == len(self._cascade.nodes) - 1 and name not in self._new.where:
                part = (0, self._cascade.graph.tensors[name].size)
                self._new.view(name, name, f"{node.name}#all", part, 0, at)

    def _strip(self, number: int, i: int) -> Strip | None:
        """What strip `number` asks of node i, None if nothing."""
        if not 0 <= number < len(self._plan.strips):
            return None
        strip = self._plan.strips[number][i]
        return strip if strip is not None and strip.made[0] < strip.made[1] else None

    def _at(self, number: int, track: int) -> Section:
        return self._first + max(0, number), track

    # -- from and to DRAM

    def _fetch(self, number: int) -> None:
        """Fetch what the nodes of section `number` need from DRAM, one section ahead."""
        for i, node in enumerate(self._cascade.nodes):
            s = number - self._cascade.stages[i]
            strip = self._strip(s, i)
            for place, (name, need) in enumerate(strip.needs.items() if strip else ()):
                if name in self._new.where and name not in self._cascade.inner:
                    target = f"{node.name}#{s}/in{place}"
                    self._fetched[i, s, name] = self._new.part(name, target, need)
                    source, offset = self._new.where[name]
                    fetch = FetchRows(target, source, target, offset + need[0], need[1] - need[0])
                    self._new.add(fetch, node.name, self._at(number - 1, TRACK_DMA))

    def _write_back(self, number: int) -> None:
        """Write back the rows of the last result that section `number` made."""
        i = len(self._cascade.nodes) - 1
        s = number - self._cascade.stages[i]
        strip = self._strip(s, i)
        name = self._cascade.results[i]
        if strip is not None and name in self._new.where:
            begin, end = strip.made
            spill = self._new.spill(
                f"{self._cascade.nodes[i].name}#{s}/out", name, begin, end - begin
            )
            self._new.add(spill, self._cascade.nodes[i].name, self._at(number + 1, TRACK_DMA))

    # -- work

    def _work(self, number: int, i: int, s: int, strip: Strip) -> None:
        node = self._cascade.nodes[i]
        label, at = f"{node.name}#{s}", self._at(number, self._track(i))
        made = block_of(self._cascade.graph, node, *strip.made)
        made_node, needs = made.node, dict(made.needs)
        if i - 1 in self._cascade.padded and isinstance(made_node, Move):
            made_node = _only_border(made_node, self._cascade.results[i - 1])
            needs = {name: needs[name] for name in made_node.inputs}
        names = {
            name: self._source(f"{label}/in{place}", (i, s, name), need, at)
            for place, (name, need) in enumerate(needs.items())
        }
        names[node.writes[0]] = self._target(label, (i, s), strip, at)
        made_node = renamed(made_node, label, names)
        if i in self._cascade.padded and isinstance(made_node, Linear):
            pixels = self._cascade.rows[i] // len(made_node.weights)
            rows_apart = (pixels, self._cascade.padded[i].pitch)
            made_node = replace(made_node, rows_apart=rows_apart)
        if made_node.reads:
            self._new.add(made_node, node.name, at)

    def _track(self, i: int) -> int:
        is_product = isinstance(self._cascade.nodes[i], Linear) or i - 1 in self._cascade.padded
        return TRACK_MAC if is_product else TRACK_VECTOR

    def _source(self, label: str, read: tuple[int, int, str], need: Range, at: Section) -> str:
        """Name of elements `need` of an input."""
        i, s, name = read
        if read in self._fetched:
            return self._fetched[read]
        if i and name == self._cascade.results[i - 1]:
            buffers = self._buffers[i - 1]
            root, base = buffers[max(made for made in buffers if made <= s)]
            return self._new.view(name, root, label, need, base, at)
        if need == (0, self._cascade.graph.tensors[name].size):
            return name
        return self._new.view(name, name, label, need, 0, at)

    def _target(self, label: str, make: tuple[int, int], strip: Strip, at: Section) -> str:
        """Name of the place of elements `strip.made` of a result."""
        i, s = make
        name = self._cascade.results[i]
        target = f"{label}/out"
        if i in self._cascade.padded:
            padding, row = self._cascade.padded[i], self._cascade.rows[i]
            first, last = strip.made[0] // row, strip.made[1] // row - 1
            begin = padding.offset + first * padding.pitch
            end = padding.offset + last * padding.pitch + row
            root, base = self._line(label, (i + 1, s), at)
            return self._new.view(
                self._cascade.results[i + 1], root, target, (begin, end), base, at
            )
        if name in self._plan.lines:
            root, base = self._line(label, make, at)
            return self._new.view(name, root, target, strip.made, base, at)
        if i == len(self._cascade.nodes) - 1 and name not in self._new.where:
            return self._new.view(name, name, target, strip.made, 0, at)
        self._new.part(name, target, strip.made)
        self._buffers[i][s] = target, strip.made[0]
        return target

    def _line(self, label: str, make: tuple[int, int], at: Section) -> tuple[str, int]:
        """The buffer of a result whose rows are kept, moved up where the new rows have no room."""
        i, s = make
        if s not in self._buffers[i]:
            strip = self._plan.strips[s][i]
            assert strip is not None  # whoever asks makes something of it
            self._buffers[i][s] = self._moved_line(label, i, strip, at)
        return self._buffers[i][s]

    def _moved_line(self, label: str, i: int, strip: Strip, at: Section) -> tuple[str, int]:
        name = self._cascade.results[i]
        buffers = self._buffers[i]
        root, base = self._lines[i], buffers[max(buffers)][1] if buffers else 0
        if strip.made[1] - base <= self._plan.lines[name]:
            return root, base
        low = min(strip.low, strip.made[0])
        if low < strip.made[0]:
            kept = low, strip.made[0]
            source = self._new.view(name, root, f"{label}/kept", kept, base, at)
            target = self._new.view(name, root, f"{label}/front", kept, low, at)
            pieces = _moved_up(low - base, kept[1] - kept[0])
            move = Move(f"{label}/keep", (source,), target, pieces)
            self._new.add(move, self._cascade.nodes[i].name, at)
        return root, low


def _moved_up(distance: int, count: int) -> tuple[Piece, ...]:
    """`count` elements to a place `distance` elements in front, in pieces that do not overlap
    it."""
    return tuple(
        Piece(0, (min(distance, count - first),), first, (1,), first, (1,))
        for first in range(0, count, distance)
    )


def _only_border(node: Move, image: str) -> Move:
    """A padding without the image that it pads."""
    kept = [piece for piece in node.pieces if node.inputs[piece.source] != image]
    inputs = tuple(dict.fromkeys(node.inputs[piece.source] for piece in kept))
    pieces = tuple(replace(piece, source=inputs.index(node.inputs[piece.source])) for piece in kept)
    return replace(node, inputs=inputs, pieces=pieces)
