"""Order of the tiles of a step over the WBUF slots, and the semaphores that keep it.

Tile k goes to slot k mod tile_slots. What fills it, a decoder unit or PACK of the VECTOR unit,
waits until the PRODUCT of tile k - tile_slots has freed the slot; the PRODUCT of tile k waits until
it is filled. There is a pair of semaphores per filler, and each filler meets its tiles in order.
"""

from __future__ import annotations

from azsim.compiler.emit.builder import ProgramBuilder
from azsim.config import ChipConfig
from azsim_kernels import isa

PACK = -1  # filler of a tile that VECTOR packs


class TileOrder:
    """Numbers the tiles of a step. All tiles are added before the first semaphore is asked for."""

    def __init__(self, chip: ChipConfig, builder: ProgramBuilder) -> None:
        self._slots, self._units = chip.wbuf.tile_slots, chip.decoder.units
        self._builder = builder
        self._fillers: list[int] = []

    def __len__(self) -> int:
        return len(self._fillers)

    def add(self, packed: bool = False) -> int:
        """Put a tile at the end and return its number."""
        number = len(self._fillers)
        self._fillers.append(PACK if packed else number % self._units)
        return number

    def slot(self, number: int) -> int:
        """The slot of a tile."""
        return number % self._slots

    def unit(self, number: int) -> int:
        """The decoder unit of a tile, PACK if it is packed."""
        return self._fillers[number] if number < len(self._fillers) else number % self._units

    def ready(self, number: int) -> int:
        """Semaphore that the tile's filler gives and its first PRODUCT takes."""
        return self._builder.semaphores.number(("ready", self.unit(number)), isa.DATA)

    def free(self, number: int) -> int:
        """Semaphore that the tile's filler takes before it starts."""
        unit = self.unit(number)
        initial = sum(self.unit(first) == unit for first in range(self._slots))
        return self._builder.semaphores.number(("free", unit), isa.SPACE, initial)

    def freeing(self, number: int) -> list[int]:
        """Semaphores that the tile's last PRODUCT gives."""
        following = number + self._slots
        return [self.free(following)] if following < len(self._fillers) else []
