"""What a rule between keys says when it is broken."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BrokenRule:
    """`keys[0]` must be what `text` says; the other keys are the ones it is compared with."""

    keys: tuple[str, ...]
    text: str
