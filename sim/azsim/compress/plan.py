"""Compression plans: what becomes of the weights of each layer. docs/compression.md explains every
key.

Errors have the form of chip files: `plan.yaml:7: layers.encodr*: ...`.
"""

from __future__ import annotations

import difflib
import fnmatch
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from azsim.compiler import WEIGHT_BITS, CompressionPlan
from azsim.compress.source import SourceModel
from azsim.config._block import Block
from azsim.config._yaml import Document, dotted, parse_document, printable, read_text, shown_value
from azsim.config.load import must_be
from azsim.errors import ConfigError

Calibration = Literal["minmax", "percentile", "mse"]
CALIBRATIONS: tuple[Calibration, ...] = ("minmax", "percentile", "mse")
MAX_CODEBOOK = 32  # entries of a palette of the weight stream
PLAN_PROPERTY = "azsim.compression_plan"


@dataclass(frozen=True)
class LayerPlan:
    """What becomes of one layer's weights.

    `codebook`: 0, or that many centroids of 8 bits in place of a grid of `bits`. `pruning`:
    "magnitude" over the matrix, or "balanced": equally many per `bank` neighbouring weights of a
    row. `scales`: one per "row" or per "tensor". `calibration`: how a scale is chosen.
    """

    bits: int = 8
    sparsity: float = 0.0
    pruning: str = "magnitude"
    bank: int = 64
    scales: str = "row"
    codebook: int = 0
    calibration: str = "minmax"

    @property
    def text(self) -> str:
        """In a few words, such as `5 bits, 50 % zeros`."""
        width = f"codebook of {self.codebook}" if self.codebook else f"{self.bits} bits"
        zeros = f", {self.sparsity:.4g} zeros" if self.sparsity else ""
        way = " balanced" if zeros and self.pruning == "balanced" else ""
        found = "" if self.codebook or self.calibration == "minmax" else f", {self.calibration}"
        one = ", one scale" if self.scales == "tensor" else ""
        return f"{width}{zeros}{way}{one}{found}"

    @property
    def stream_bits(self) -> int:
        """Width that the chip multiplies with: centroids have 8 bits."""
        return 8 if self.codebook else self.bits


class Wish(Block):
    """What is said of a layer, or of all; None: not said."""

    bits: int | None = None
    sparsity: float | None = Field(default=None, ge=0)
    pruning: Literal["magnitude", "balanced"] | None = None
    bank: int | None = Field(default=None, ge=2, le=65536)
    scales: Literal["row", "tensor"] | None = None
    codebook: int | None = Field(default=None, ge=2, le=MAX_CODEBOOK)
    calibration: Calibration | None = None

    @field_validator("bits")
    @classmethod
    def _offered(cls, value: int | None) -> int | None:
        if value is not None and value not in WEIGHT_BITS:
            raise PydanticCustomError("plan_value", "must be 8, 6, 5, 4, 3 or 2")
        return value

    @field_validator("sparsity")
    @classmethod
    def _below_one(cls, value: float | None) -> float | None:
        if value is not None and not value < 1.0:
            raise PydanticCustomError("plan_value", "must be 0 or more and below 1")
        return value

    def for_table(self) -> Wish:
        """What of this, said of all layers, a table follows: how its scales are chosen."""
        return Wish(scales=self.scales, calibration=self.calibration)

    def over(self, plan: LayerPlan) -> LayerPlan:
        """Return `plan` with what is said here; bits and codebook replace each other."""
        said = {k: getattr(self, k) for k in _WISHES if getattr(self, k) is not None}
        if "bits" in said and "codebook" not in said:
            said["codebook"] = 0
        return replace(plan, **said)


_WISHES = tuple(Wish.model_fields)


class PlanFile(Wish):
    """Keys of a plan file: those of a layer for all of them, and `layers` by name or pattern."""

    description: str = Field(default="", max_length=1000)
    layers: dict[str, Wish] = Field(default_factory=dict)


@dataclass(frozen=True)
class WeightPlan:
    """A plan before it meets a model: `options` of the command line, `document` what a file says.

    A model's own plan comes first, over it what the file says of all layers, then the options, then
    what the file says of single layers. Widths and zeros of all layers leave tables alone, which
    the chip holds in 8 bits whatever is in them.
    """

    options: Wish = field(default_factory=Wish)
    document: Document | None = None
    file: PlanFile | None = None

    @property
    def says_calibration(self) -> bool:
        """True if it says of any layer how its scales are chosen."""
        wishes = [self.options, *([self.file, *self.file.layers.values()] if self.file else [])]
        return any(wish.calibration is not None for wish in wishes)

    def resolve(self, source: SourceModel, own: CompressionPlan) -> dict[str, LayerPlan]:
        """Return the plan of each layer of `source`; later patterns of the file win.

        Raises:
            ConfigError: a name or pattern that no layer has, with the nearest one.
        """
        names, tables = list(source.parts), source.tables
        plans: dict[str, LayerPlan] = {}
        for name in names:
            node = source.nodes[name][0]  # both directions of a layer have one plan
            plan = LayerPlan(own.bits_of(node), own.sparsity_of(node))
            plan = LayerPlan() if name in tables else plan
            for wish in (self.file, self.options):
                if wish is not None:
                    plan = (wish.for_table() if name in tables else wish).over(plan)
            plans[name] = plan
        for pattern, wish in (self.file.layers if self.file else {}).items():
            found = [n for n in names if n == pattern] or fnmatch.filter(names, pattern)
            if not found:
                raise self._unknown(pattern, names)
            for name in found:
                plans[name] = wish.over(plans[name])
        return plans

    def _unknown(self, pattern: str, names: list[str]) -> ConfigError:
        assert self.document is not None  # a pattern comes from a file
        (close,) = difflib.get_close_matches(pattern, names, n=1, cutoff=0.0)
        return _at(
            self.document,
            ("layers", pattern),
            "must be the name of a layer with weights, or a pattern of names; the nearest is"
            f" '{printable(close)}'",
        )


def option_wish(words: Mapping[str, object]) -> Wish:
    """Return what options of the command line say; ConfigError names the option."""
    try:
        return Wish.model_validate(dict(words))
    except ValidationError as error:
        first = error.errors()[0]
        text = must_be(first["type"], first.get("ctx", {}), first["msg"])
        raise ConfigError(
            f"--{first['loc'][0]}: {text}, not {shown_value(first['input'])}"
        ) from None


def load_plan(path: str | Path, options: Wish) -> WeightPlan:
    """Read a plan file.

    Raises:
        ConfigError: file, line and key of what is wrong; a file that names no layer.
    """
    path = Path(path)
    document = parse_document(read_text(path), printable(path))
    try:
        file = PlanFile.model_validate(document.tree)
    except ValidationError as error:
        raise _refusal(document, error) from None
    if not file.layers:
        raise _at(document, ("layers",), "must name at least one layer")
    return WeightPlan(options, document, file)


def plan_json(plans: Mapping[str, LayerPlan]) -> str:
    """Return the plan of each layer as JSON, for a model's metadata."""
    return json.dumps({name: asdict(plan) for name, plan in plans.items()}, sort_keys=True)


def plan_yaml(plans: Mapping[str, LayerPlan]) -> str:
    """Return a plan file that says of each layer what `plans` says."""
    import yaml

    keys = {
        name: {k: v for k, v in asdict(plan).items() if _matters(plan, k)}
        for name, plan in plans.items()
    }
    # names are taken literally before they are tried as patterns
    text: str = yaml.safe_dump({"layers": keys}, sort_keys=False, allow_unicode=True)
    return text


def _matters(plan: LayerPlan, key: str) -> bool:
    if key in ("bits", "codebook"):
        return (key == "codebook") == bool(plan.codebook)
    return key != "bank" or plan.pruning == "balanced"


def _at(document: Document, path: tuple[Any, ...], text: str) -> ConfigError:
    line = document.lines.get(path)
    place = document.where if line is None else f"{document.where}:{line}"
    return ConfigError(f"{place}: {dotted(path)}: {text}")


def _refusal(document: Document, error: ValidationError) -> ConfigError:
    first = error.errors()[0]
    path: tuple[Any, ...] = (*first["loc"],)
    if first["type"] == "extra_forbidden":
        known = [*_WISHES, *(() if len(path) > 1 else ("layers", "description"))]
        close = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f" (did you mean '{close[0]}'?)" if close else ""
        return _at(document, path, f"unknown key{hint}")
    text = must_be(first["type"], first.get("ctx", {}), first["msg"])
    return _at(document, path, f"{text}, not {shown_value(first['input'])}")
