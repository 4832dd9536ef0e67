"""Perfetto's protobuf packets, written one after the other.

The classes are those of the `perfetto` package, made from its own trace format
(protos/perfetto/trace in github.com/google/perfetto): what is written is valid by construction as
far as fields and types go. Numbers are given in the order of first use, so that equal runs give
equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, Any

SEQUENCE = 1  # all packets come from one writer
_BATCH = 4096  # packets in memory before they are written


class PacketWriter:
    """Writes tracks, slices and counters to an open file; `flush` when done."""

    def __init__(self, file: IO[bytes]) -> None:
        from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as pb  # loaded when used

        self._file = file
        self._trace: Any = pb.Trace()
        self._new_trace: Any = pb.Trace
        event = pb.TrackEvent
        self._begin, self._end = event.TYPE_SLICE_BEGIN, event.TYPE_SLICE_END
        self._counter, self._instant = event.TYPE_COUNTER, event.TYPE_INSTANT
        self._explicit = pb.TrackDescriptor.EXPLICIT
        self._cleared = pb.TracePacket.SEQ_INCREMENTAL_STATE_CLEARED
        self._needs = pb.TracePacket.SEQ_NEEDS_INCREMENTAL_STATE
        self._names: dict[str, int] = {}
        self._arguments: dict[str, int] = {}
        self._tracks = 0
        self._packet().sequence_flags = self._cleared

    def track(self, name: str, parent: int = 0, unit: str | None = None) -> int:
        """Define a track below `parent` (0: at the top), in the order of the calls; with a `unit`
        (it may be empty) it is a counter. Return its number.
        """
        self._tracks += 1
        descriptor = self._packet().track_descriptor
        descriptor.uuid = self._tracks
        descriptor.name = name
        if parent:
            descriptor.parent_uuid = parent
        descriptor.sibling_order_rank = self._tracks
        descriptor.child_ordering = self._explicit
        if unit is not None:
            descriptor.counter.unit_name = unit
        return self._tracks

    def begin(
        self,
        time: int,
        track: int,
        name: str,
        arguments: Mapping[str, int] | None = None,
        flows: Sequence[int] = (),
        last_flows: Sequence[int] = (),
    ) -> None:
        """Begin a slice. `flows` go on to other slices or come from them, `last_flows` end here."""
        event = self._event(time, track, self._begin, name)
        for key, value in (arguments or {}).items():
            entry = event.debug_annotations.add()
            entry.name_iid = self._arguments.get(key) or self._intern_argument(key)
            entry.int_value = value
        event.flow_ids.extend(flows)
        event.terminating_flow_ids.extend(last_flows)

    def end(self, time: int, track: int) -> None:
        """End the track's open slice."""
        self._event(time, track, self._end)

    def slice(self, time: int, end: int, track: int, name: str, **arguments: int) -> None:
        """Begin and end a slice."""
        self.begin(time, track, name, arguments)
        self.end(end, track)

    def instant(self, time: int, track: int, name: str) -> None:
        """Mark a moment."""
        self._event(time, track, self._instant, name)

    def count(self, time: int, track: int, value: float) -> None:
        """Give a counter its value from now on."""
        event = self._event(time, track, self._counter)
        if isinstance(value, int):
            event.counter_value = value
        else:
            event.double_counter_value = value

    def flush(self) -> None:
        """Write what is still in memory."""
        self._file.write(self._trace.SerializeToString(deterministic=True))
        self._trace = self._new_trace()

    def _packet(self) -> Any:
        if len(self._trace.packet) >= _BATCH:
            self.flush()
        packet = self._trace.packet.add()
        packet.trusted_packet_sequence_id = SEQUENCE
        return packet

    def _event(self, time: int, track: int, kind: int, name: str | None = None) -> Any:
        packet = self._packet()
        packet.timestamp = time
        packet.sequence_flags = self._needs
        event = packet.track_event
        event.type = kind
        event.track_uuid = track
        if name is not None:
            number = self._names.get(name)
            if number is None:
                number = self._names[name] = len(self._names) + 1
                entry = packet.interned_data.event_names.add()
                entry.iid, entry.name = number, name
            event.name_iid = number
        return event

    def _intern_argument(self, key: str) -> int:
        number = self._arguments[key] = len(self._arguments) + 1
        entry = self._trace.packet[-1].interned_data.debug_annotation_names.add()
        entry.iid, entry.name = number, key
        return number
