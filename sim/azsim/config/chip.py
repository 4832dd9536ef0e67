"""A chip: all keys of a chip file, in their bounds and fitting together."""

from __future__ import annotations

import hashlib
import json

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from azsim.config.rules import check_rules
from azsim.config.schema import ChipKeys


class ChipConfig(ChipKeys):
    """A whole chip. Built by `azsim.config.load_chip`; equal chips have equal hashes."""

    @model_validator(mode="after")
    def _keys_fit_together(self) -> ChipConfig:
        broken = check_rules(self)
        if broken is not None:
            raise PydanticCustomError(
                "chip_rule", "{text}", {"text": broken.text, "keys": list(broken.keys)}
            )
        return self

    def config_hash(self) -> str:
        """Return 16 hex digits that name this configuration (SHA-256 of its canonical JSON)."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]
