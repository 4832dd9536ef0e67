"""What a node that takes one tensor and makes another one reads and writes."""

from __future__ import annotations


class OneToOne:
    """A node from `x` to `y`, which its data class declares."""

    x: str
    y: str

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return (self.x,)

    @property
    def writes(self) -> tuple[str, ...]:
        """Names of the tensors it writes."""
        return (self.y,)
