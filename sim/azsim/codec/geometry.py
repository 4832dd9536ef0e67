"""How a weight matrix is cut into tiles."""

from __future__ import annotations

from dataclasses import dataclass

from azsim.units import ceil_div, round_up
from azsim_kernels.tile_format import GROUP_WEIGHTS, MAX_TILE_WEIGHTS

ORDERS = ("row", "column", "flat")
"""Names of the tile order field, indexed by its number."""

MAX_WEIGHTS = 1 << 32
"""No container holds more weights than this."""


@dataclass(frozen=True)
class TileGrid:
    """A matrix of `rows` x `columns` cut into tiles, numbered row-major.

    order "row" or "column": boxes of tile_rows x tile_columns, smaller at the right and lower
    edge; the weights inside a box are numbered row-major or column-major. order "flat": the
    row-major flattened matrix in runs of tile_columns weights (tile_rows is 1).
    """

    rows: int
    columns: int
    tile_rows: int
    tile_columns: int
    order: str = "row"

    @property
    def weights(self) -> int:
        """Number of weights of the matrix."""
        return self.rows * self.columns

    @property
    def cut(self) -> tuple[int, int, int, int]:
        """(rows, columns, tile rows, tile columns) of the matrix the boxes are cut from."""
        if self.order == "flat":
            return 1, self.weights, 1, self.tile_columns
        return self.rows, self.columns, self.tile_rows, self.tile_columns

    @property
    def tiling(self) -> tuple[int, int, bool]:
        """(tile rows, tile columns, column-major) for kernels, no larger than the matrix."""
        rows, columns, tile_rows, tile_columns = self.cut
        return min(rows, tile_rows), min(columns, tile_columns), self.order == "column"

    @property
    def tile_count(self) -> int:
        """Number of tiles."""
        rows, columns, tile_rows, tile_columns = self.cut
        return ceil_div(rows, tile_rows) * ceil_div(columns, tile_columns)

    def tile_box(self, tile: int) -> tuple[int, int, int, int]:
        """Return (first row, first column, height, width) of a tile in the matrix of `cut`."""
        rows, columns, tile_rows, tile_columns = self.cut
        down, across = divmod(tile, ceil_div(columns, tile_columns))
        row, column = down * tile_rows, across * tile_columns
        return row, column, min(tile_rows, rows - row), min(tile_columns, columns - column)

    def tile_groups(self, tile: int) -> int:
        """Return the groups of 256 weights of a tile, padding included."""
        _, _, height, width = self.tile_box(tile)
        return ceil_div(height * width, GROUP_WEIGHTS)

    @property
    def largest_tile_weights(self) -> int:
        """Padded size of the largest tile, in weights."""
        rows, columns, tile_rows, tile_columns = self.cut
        return round_up(min(rows, tile_rows) * min(columns, tile_columns), GROUP_WEIGHTS)

    def problem(self) -> str | None:
        """Return what is wrong with this grid (no full stop), or None."""
        if min(self.rows, self.columns) < 1 or self.weights > MAX_WEIGHTS:
            return (
                f"matrix must have at least one and at most {MAX_WEIGHTS} weights, "
                f"not {self.rows} x {self.columns}"
            )
        size = self.tile_columns
        if self.order == "flat":
            legal = GROUP_WEIGHTS <= size <= MAX_TILE_WEIGHTS and size % GROUP_WEIGHTS == 0
            if legal and self.tile_rows == 1:
                return None
            return (
                f"tile must be a multiple of {GROUP_WEIGHTS} from {GROUP_WEIGHTS} "
                f"to {MAX_TILE_WEIGHTS} weights, not {size * self.tile_rows}"
            )
        size *= self.tile_rows
        if min(self.tile_rows, self.tile_columns) < 1 or size > MAX_TILE_WEIGHTS:
            return (
                f"tile shape must hold 1 to {MAX_TILE_WEIGHTS} weights, "
                f"not {self.tile_rows} x {self.tile_columns}"
            )
        return None
