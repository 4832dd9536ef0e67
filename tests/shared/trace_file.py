"""Reads a Perfetto trace with the classes of its format and checks what every trace must keep."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as pb


@dataclass
class Slice:
    """One slice; `flows` that touch it, `ends` those of them that end there."""

    name: str
    begin: int
    end: int
    arguments: dict[str, int]
    flows: list[int]
    ends: list[int]


@dataclass
class TraceFile:
    """By path of a track ("engines/mac"): slices, counter values (time, value), instants."""

    title: str = ""
    units: dict[str, str] = field(default_factory=dict)
    slices: dict[str, list[Slice]] = field(default_factory=lambda: defaultdict(list))
    counters: dict[str, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    instants: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))


def read_trace(path: Path) -> TraceFile:
    """Parse `path`; AssertionError if a rule of the format is broken."""
    trace = pb.Trace()
    trace.ParseFromString(path.read_bytes())
    assert trace.IsInitialized()
    assert not unknown_fields(trace)
    reader = _Reader()
    for packet in trace.packet:
        reader.take(packet)
    assert not any(reader.open.values()), "every slice must end"
    check_flows(reader.file)
    return reader.file


def unknown_fields(trace: Any) -> bool:
    """Say whether a packet has fields that its format does not know: they are lost when it is
    written again without them."""
    size = trace.ByteSize()
    trace.DiscardUnknownFields()
    return bool(trace.ByteSize() != size)


class _Reader:
    def __init__(self) -> None:
        self.file = TraceFile()
        self.paths: dict[int, str] = {0: ""}
        self.counting: set[int] = set()
        self.names: dict[int, str] = {}
        self.keys: dict[int, str] = {}
        self.open: dict[int, list[Slice]] = defaultdict(list)
        self.last: dict[int, int] = defaultdict(int)
        self.cleared = False

    def take(self, packet: Any) -> None:
        assert packet.trusted_packet_sequence_id == 1
        if packet.HasField("track_descriptor"):
            self._define(packet.track_descriptor)
        elif packet.HasField("track_event"):
            assert self.cleared, "names may be used after the state was cleared"
            assert packet.sequence_flags == pb.TracePacket.SEQ_NEEDS_INCREMENTAL_STATE
            for entry in packet.interned_data.event_names:
                assert self.names.setdefault(entry.iid, entry.name) == entry.name
            for entry in packet.interned_data.debug_annotation_names:
                assert self.keys.setdefault(entry.iid, entry.name) == entry.name
            self._event(packet.timestamp, packet.track_event)
        else:
            assert packet.sequence_flags == pb.TracePacket.SEQ_INCREMENTAL_STATE_CLEARED
            self.cleared = True

    def _define(self, track: Any) -> None:
        assert track.uuid not in self.paths, "a track is defined once"
        if not track.parent_uuid:
            assert not self.file.title
            self.file.title = track.name
            self.paths[track.uuid] = ""
            return
        above = self.paths[track.parent_uuid]
        path = f"{above}/{track.name}" if above else track.name
        assert path not in self.paths.values()
        self.paths[track.uuid] = path
        if track.HasField("counter"):
            self.counting.add(track.uuid)
            self.file.units[path] = track.counter.unit_name

    def _event(self, time: int, event: Any) -> None:
        track, kind = event.track_uuid, event.type
        path = self.paths[track]
        assert time >= self.last[track], f"{path}: time must not go back"
        self.last[track] = time
        assert (kind == event.TYPE_COUNTER) == (track in self.counting)
        if kind == event.TYPE_COUNTER:
            value = event.counter_value + event.double_counter_value
            self.file.counters[path].append((time, value))
        elif kind == event.TYPE_INSTANT:
            self.file.instants[path].append((time, self.names[event.name_iid]))
        elif kind == event.TYPE_SLICE_BEGIN:
            arguments = {self.keys[a.name_iid]: a.int_value for a in event.debug_annotations}
            ends = list(event.terminating_flow_ids)
            flows = [*event.flow_ids, *ends]
            opened = Slice(self.names[event.name_iid], time, -1, arguments, flows, ends)
            self.open[track].append(opened)
            self.file.slices[path].append(opened)
        else:
            assert kind == event.TYPE_SLICE_END
            self.open[track].pop().end = time
            assert not self.open[track], f"{path}: slices of a track follow each other"


def check_flows(file: TraceFile) -> None:
    """Each flow goes from a FETCH over its TILE to a PRODUCT, in the order of time, and ends
    once."""
    ways: dict[int, list[tuple[int, Slice]]] = defaultdict(list)
    for path in file.slices:
        for one in file.slices[path]:
            for flow in one.flows:
                ways[flow].append((one.begin, one))
    for way in ways.values():
        way.sort(key=lambda entry: entry[0])
        assert len(way) >= 2, "a flow joins two slices at least"
        steps = [one.name.split()[0] for _, one in way]
        assert steps[0] == "FETCH"
        assert steps[1] in ("TILE", "RAW")
        assert set(steps[2:]) <= {"PRODUCT"}
        assert [bool(one.ends) for _, one in way] == [False] * (len(way) - 1) + [True]
