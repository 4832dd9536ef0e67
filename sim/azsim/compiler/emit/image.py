"""The DRAM image under construction: segments at increasing addresses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from azsim.errors import CompileError
from azsim.program import Port, Region

ALIGNMENT = 64  # bytes


class DramImage:
    """Places byte segments one after another; what has no data (inputs, outputs) lies behind the
    image."""

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity = capacity_bytes
        self._segments: list[tuple[int, npt.NDArray[np.uint8]]] = []
        self._end = 0
        self.regions: list[Region] = []

    @property
    def end_bytes(self) -> int:
        """First free byte."""
        return self._end

    def reserve(self, name: str, size: int) -> int:
        """Take `size` bytes and return their address."""
        address = -(-self._end // ALIGNMENT) * ALIGNMENT
        if address + size > self._capacity:
            raise CompileError(
                f"memory.capacity_mb: '{name}' needs {address + size} bytes of DRAM,"
                f" the chip has {self._capacity}"
            )
        self._end = address + size
        self.regions.append(Region("dram", name, address, size))
        return address

    def place(self, name: str, data: npt.NDArray[np.generic]) -> int:
        """Take room for `data`, keep it for the image, and return its address."""
        raw = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
        address = self.reserve(name, raw.size)
        self._segments.append((address, raw))
        return address

    def port(
        self, name: str, element: str, shape: tuple[int, ...], scale: float, zero: int
    ) -> Port:
        """Take room for a graph input or output."""
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(element).itemsize
        return Port(name, self.reserve(name, size), shape, element, scale, zero)

    def bytes(self) -> npt.NDArray[np.uint8]:
        """Return the image up to the last segment with data (uint8)."""
        end = max((address + raw.size for address, raw in self._segments), default=0)
        image = np.zeros(end, np.uint8)
        for address, raw in self._segments:
            image[address : address + raw.size] = raw
        return image
