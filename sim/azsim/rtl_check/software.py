"""What software makes of a case: its status code and weights, by the reference decoder."""

from __future__ import annotations

import numpy as np

from azsim.rtl_check.cases import Case
from azsim_kernels import tile_errors
from azsim_kernels.clocked.decoder_beats import KIND_DENSE, KIND_MASK, KIND_PACKED
from azsim_kernels.clocked.decoder_rtl import OutputBeat
from azsim_kernels.reference.decode import decode_tile
from azsim_kernels.reference.table_record import load_table
from azsim_kernels.table_slots import empty_slots
from azsim_kernels.tile_format import GROUP_WEIGHTS


class SoftwareDecoder:
    """The reference decoder with its table slots."""

    def __init__(self, profile: int) -> None:
        self.profile = profile
        self.slots = empty_slots()

    def reset(self) -> None:
        """Forget all tables."""
        self.slots = empty_slots()

    def decode(self, case: Case) -> tuple[int, list[int]]:
        """Return (status code, weights; all 0 on an error, none for a record)."""
        words = np.array(case.words, np.uint64)
        if case.table:
            return load_table(words, self.profile, self.slots), []
        out = np.zeros(case.groups * GROUP_WEIGHTS, np.int8)
        code = decode_tile(words, case.tile_index, case.groups, self.profile, self.slots, out)
        return int(code), out.tolist()


class TileBuffer:
    """Collects the beats of a tile, as a consumer on the chip does, and commits good ones."""

    def __init__(self, groups: int) -> None:
        self.weights = [0] * (groups * GROUP_WEIGHTS)
        self.mask_bits = 0
        self.ones: list[int] = []
        self.taken = 0

    def put(self, beat: OutputBeat) -> None:
        """Take one beat."""
        values = [(beat.data >> 8 * i & 255 ^ 128) - 128 for i in range(beat.count)]
        if beat.kind == KIND_MASK:
            self.ones += [self.mask_bits + i for i in range(64) if beat.data >> i & 1]
            self.mask_bits += 64
        elif beat.kind == KIND_PACKED:
            self._store(self.ones[self.taken : self.taken + beat.count], values)
        elif beat.kind == KIND_DENSE:
            self._store(list(range(self.taken, self.taken + beat.count)), values)

    def _store(self, places: list[int], values: list[int]) -> None:
        for place, value in zip(places, values, strict=False):
            if place < len(self.weights):
                self.weights[place] = value
        self.taken += len(values)

    def complaint(self, error: int, code: int, weights: list[int], table: bool) -> str | None:
        """Return what is wrong if the port ended the tile with `error` and software says `code`."""
        if error != code:
            return f"code must be {_name(code)}, not {_name(error)}"
        if error != tile_errors.OK or table:
            return None
        wrong = [
            i
            for i, pair in enumerate(zip(self.weights, weights, strict=True))
            if len(set(pair)) > 1
        ]
        if not wrong:
            return None
        first = wrong[0]
        return f"weight {first} must be {weights[first]}, not {self.weights[first]}"


def _name(code: int) -> str:
    return tile_errors.NAMES[code] if code < len(tile_errors.NAMES) else f"code {code}"
