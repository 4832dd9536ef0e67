"""Random places, types and scales of tensors in a region of ABUF."""

from __future__ import annotations

from typing import NamedTuple

from choosing import Choose, chance, pick

from azsim_kernels import isa


class Region(NamedTuple):
    """Bytes [begin, end) of ABUF."""

    begin: int
    end: int


def place(choose: Choose, region: Region, size: int, align: int) -> int:
    """Return an address of `size` bytes in `region`, a multiple of `align`."""
    first = -(-region.begin // align)
    return align * choose.integer(first, (region.end - size) // align)


def scale(choose: Choose) -> tuple[int, int]:
    """Return a multiplier and a shift of `rescale`, extremes included."""
    multiplier = pick(choose, [0, 1, 1 << 30, (1 << 31) - 1, choose.integer(0, (1 << 31) - 1)])
    return multiplier, choose.integer(0, 62)


def zero_point(choose: Choose, element_type: int) -> int:
    """Return a zero point of a tensor's type, often 0."""
    limit = 1 << ((8 << element_type) - 1)
    return pick(choose, [0, 0, -limit, limit - 1, choose.integer(-128, 127)])


def tensor(choose: Choose, region: Region, elements: int, types: int = 3) -> tuple[int, int]:
    """Return address and type of a tensor."""
    element_type = choose.integer(0, types - 1)
    size = isa.ELEMENT_BYTES[element_type]
    return place(choose, region, elements * size, size), element_type


def relu(choose: Choose) -> int:
    return isa.FLAG_RELU if chance(choose, 25) else 0
