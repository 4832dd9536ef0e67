"""What the user wants of compression, before any pass runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from azsim.errors import ConfigError

WEIGHT_BITS = (8, 6, 5, 4, 3, 2)


@dataclass(frozen=True)
class CompressionPlan:
    """Weight width and share of zeros, for the whole graph and per layer.

    `layer_bits` and `layer_sparsity` override by float node name (all weights of that node).

    Raises:
        ConfigError: a width that is not offered or a share outside 0..1 (1 excluded).
    """

    bits: int = 8
    sparsity: float = 0.0
    layer_bits: Mapping[str, int] = field(default_factory=dict)
    layer_sparsity: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for where, bits in (("bits", self.bits), *self.layer_bits.items()):
            if bits not in WEIGHT_BITS:
                raise ConfigError(
                    f"{where}: weight bits must be one of 8, 6, 5, 4, 3, 2, not {bits}"
                )
        for where, share in (("sparsity", self.sparsity), *self.layer_sparsity.items()):
            if not 0.0 <= share < 1.0:
                raise ConfigError(
                    f"{where}: share of zeros must be 0 or more and below 1, not {share}"
                )

    def bits_of(self, node: str) -> int:
        """Weight width of a float node."""
        return self.layer_bits.get(node, self.bits)

    def sparsity_of(self, node: str) -> float:
        """Wanted share of zeros of a float node's weights."""
        return self.layer_sparsity.get(node, self.sparsity)

    def check_layers(self, known: set[str]) -> None:
        """Refuse overrides of layers that the graph does not have."""
        for name in (*self.layer_bits, *self.layer_sparsity):
            if name not in known:
                raise ConfigError(
                    f"layer '{name}' must be one of the layers with weights:"
                    f" {', '.join(sorted(known))}"
                )

    @classmethod
    def from_json(cls, text: str) -> CompressionPlan:
        """Read a model's own plan (metadata `azsim.compression`).

        Raises:
            ConfigError: the text is not a JSON object of bits, sparsity, layer_bits,
            layer_sparsity.
        """
        try:
            fields = json.loads(text)
            return cls(
                bits=_whole(fields.pop("bits", 8)),
                sparsity=float(fields.pop("sparsity", 0.0)),
                layer_bits={str(k): _whole(v) for k, v in fields.pop("layer_bits", {}).items()},
                layer_sparsity={
                    str(k): float(v) for k, v in fields.pop("layer_sparsity", {}).items()
                },
                **_nothing_left(fields),
            )
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise ConfigError(
                "property 'azsim.compression': must be a JSON object of bits, sparsity,"
                " layer_bits and layer_sparsity"
            ) from None

    def to_json(self) -> str:
        """Return the plan as canonical JSON (used for hashes and metadata)."""
        return json.dumps(
            {
                "bits": self.bits,
                "sparsity": self.sparsity,
                "layer_bits": dict(sorted(self.layer_bits.items())),
                "layer_sparsity": dict(sorted(self.layer_sparsity.items())),
            },
            sort_keys=True,
        )


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(value)
    return value


def _nothing_left(fields: dict[str, object]) -> dict[str, Any]:
    if fields:
        raise ValueError(fields)
    return {}
