"""Plan files: what to sweep over, what to compute of it. docs/sweeps.md explains every key.

Errors have the form of chip files: `plan.yaml:7: axes.mac_array.lane: unknown key (did you mean
'mac_array.lanes'?)`.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError

from azsim._resources import data_folder
from azsim.config import ChipConfig, load_chip, override_chip
from azsim.config._block import Block
from azsim.config._yaml import Document, dotted, parse_document, printable, read_text, shown_value
from azsim.config.load import must_be, schema_keys
from azsim.errors import AzsimError, ChipRuleError, ConfigError
from azsim.sweep.axes import Axis, make_axis
from azsim.sweep.expressions import Expression, Scalar, parse_expression

T = TypeVar("T")
MAX_POINTS = 10_000_000
MAX_AXES = 64
ALIASES = {"profile": "decoder.profile", "tile_weights": "wbuf.slot_weights"}
NO_TRAFFIC = "none"
LAYER_PREFIXES = ("layer_bits.", "layer_sparsity.")
Way = Literal["minimize", "maximize"]


class Sampling(Block):
    """How points are chosen from the axes."""

    method: Literal["grid", "random", "lhs", "list"] = "grid"
    points: int | None = Field(default=None, ge=1, le=MAX_POINTS)
    seed: int = Field(default=1, ge=0, lt=1 << 31)


class Search(Block):
    """How `azsim search` looks for the front."""

    sampler: Literal["nsga2", "tpe"] = "nsga2"
    trials: int = Field(default=200, ge=1, le=1_000_000)
    population: int = Field(default=20, ge=2, le=10_000)
    seed: int = Field(default=1, ge=0, lt=1 << 31)


class PlanFile(Block):
    """The keys of a plan file."""

    description: str = Field(default="", max_length=1000)
    model: str | None = None
    input: str = "random"
    frames: int | None = Field(default=None, ge=1, le=1_000_000)
    calibrate: str | None = None
    chip: str = "az1"
    set: dict[str, Any] = Field(default_factory=dict)
    bits: int | None = None
    sparsity: float | None = None
    layer_bits: dict[str, int] = Field(default_factory=dict)
    layer_sparsity: dict[str, float] = Field(default_factory=dict)
    frames_per_pass: int = Field(default=1, ge=1)
    frame_ms: float | None = Field(default=None, gt=0)
    host_traffic: str = NO_TRAFFIC
    outputs: bool = False
    allow_unused_branch: bool = False
    seed: int = Field(default=1, ge=0, lt=1 << 31)
    axes: dict[str, Any] = Field(default_factory=dict)
    points: list[dict[str, Any]] = Field(default_factory=list)
    sampling: Sampling = Field(default_factory=Sampling)
    search: Search = Field(default_factory=Search)
    where: list[str] = Field(default_factory=list)
    columns: dict[str, str] = Field(default_factory=dict)
    constraints: list[str] = Field(default_factory=list)
    objectives: dict[str, Way] = Field(default_factory=dict)
    keep: list[str] | None = None


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Scalar]]:
    """Yield (dotted name, plain value) of everything in nested mappings; lists are left out."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        elif not isinstance(value, list):
            yield f"{prefix}{name}", value


def _check_bits(value: Scalar) -> None:
    if isinstance(value, bool) or value not in (8, 6, 5, 4, 3, 2):
        raise ConfigError(f"must be 8, 6, 5, 4, 3 or 2, not {shown_value(value)}")


def _check_share(value: Scalar) -> None:
    if not _is_number(value) or not 0 <= float(value) < 1:  # type: ignore[arg-type]
        raise ConfigError(f"must be 0 or more and below 1, not {shown_value(value)}")


def _check_whole(value: Scalar) -> None:
    if type(value) is not int or not 1 <= value <= 1_000_000:
        raise ConfigError(f"must be a whole number of 1 or more, not {shown_value(value)}")


def _check_period(value: Scalar) -> None:
    if not _is_number(value) or not 0 < float(value) < math.inf:  # type: ignore[arg-type]
        raise ConfigError(f"must be a number above 0, not {shown_value(value)}")


def _check_seed(value: Scalar) -> None:
    if type(value) is not int or not 0 <= value < 1 << 31:
        raise ConfigError(f"must be a whole number, 0 or more, not {shown_value(value)}")


def _check_text(value: Scalar) -> None:
    if not isinstance(value, str):
        raise ConfigError(f"must be text, not {shown_value(value)}")


def _check_traffic(value: Scalar) -> None:
    """Names are looked up here; files are read where they are used."""
    _check_text(value)
    shipped = sorted(path.stem for path in (data_folder("hw_configs") / "traffic").glob("*.yaml"))
    for word in str(value).split("+"):
        if word not in (NO_TRAFFIC, *shipped) and not word.endswith((".yaml", ".yml")):
            raise ConfigError(
                f"must be none, or of {', '.join(shipped)} joined by '+', or files, not '{word}'"
            )


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


OPTION_CHECKS: dict[str, Callable[[Scalar], None]] = {
    "model": _check_text,
    "input": _check_text,
    "frames": _check_whole,
    "chip": _check_text,
    "bits": _check_bits,
    "sparsity": _check_share,
    "frames_per_pass": _check_whole,
    "host_traffic": _check_traffic,
    "frame_ms": _check_period,
    "seed": _check_seed,
}


def chip_key(name: str) -> str | None:
    """The chip key that an axis stands for; None if it is no axis over the chip."""
    key = ALIASES.get(name, name)
    if name in OPTION_CHECKS or name.startswith(LAYER_PREFIXES):
        return None
    return key


def override_text(key: str, value: Scalar) -> str:
    """`key=value` with the value as YAML reads it back."""
    if isinstance(value, bool):
        return f"{key}={str(value).lower()}"
    if isinstance(value, float):
        text = repr(value)
        mantissa, e, exponent = text.partition("e")
        return f"{key}={mantissa if '.' in mantissa else mantissa + '.0'}{e}{exponent}"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{key}="{escaped}"'
    return f"{key}={value}"


@dataclass(frozen=True)
class Plan:
    """A checked plan. `folder` is where its file lies; relative paths start there."""

    path: Path
    text: str
    file: PlanFile
    document: Document
    axes: tuple[Axis, ...]
    where: tuple[Expression, ...]
    columns: Mapping[str, Expression]
    constraints: tuple[Expression, ...]

    @property
    def folder(self) -> Path:
        """The folder of the plan file."""
        return self.path.parent

    @cached_property
    def chips(self) -> dict[str, ChipConfig]:
        """The plan's chips by the name it gives them, with what it sets for all."""
        return _load_chips(self)

    @cached_property
    def chip_figures(self) -> dict[str, dict[str, Scalar]]:
        """Every key of each chip, by chip and dotted name."""
        return {n: dict(leaves(chip.model_dump(mode="json"))) for n, chip in self.chips.items()}

    @property
    def axis_names(self) -> tuple[str, ...]:
        """Names of the columns that say what a point is."""
        listed = dict.fromkeys(name for point in self.file.points for name in point)
        return tuple(axis.name for axis in self.axes) or tuple(listed)

    def error(self, where: tuple[Any, ...], text: str) -> ConfigError:
        """An error at key `where` of the file."""
        return plan_error(self.document, where, text)

    def file_path(self, name: str) -> Path:
        """A file that the plan names."""
        return self.folder / name


def plan_error(document: Document, where: tuple[Any, ...], text: str) -> ConfigError:
    """An error at the key `where`, with its line or that of the section around it."""
    place = document.where
    for length in range(len(where), 0, -1):
        line = document.lines.get(where[:length])
        if line is not None:
            place = f"{document.where}:{line}"
            break
    return ConfigError(f"{place}: {dotted(where)}: {text}")


def load_plan(path: Path) -> Plan:
    """Read and check a plan file.

    Raises:
        ConfigError: one line with file, line, key and what it must be.
    """
    text = read_text(path)
    document = parse_document(text, printable(path))
    try:
        file = PlanFile.model_validate(document.tree)
    except ValidationError as error:
        raise _explained(error, document) from None
    plan = Plan(
        path,
        text,
        file,
        document,
        tuple(_axes(file, document)),
        tuple(_expressions("where", file.where, document)),
        dict(_columns(file, document)),
        tuple(_expressions("constraints", file.constraints, document)),
    )
    _check_plan(plan)
    return plan


def _explained(error: ValidationError, document: Document) -> ConfigError:
    details = sorted(error.errors(), key=lambda d: d["type"] != "extra_forbidden")
    detail = details[0]
    where = tuple(detail["loc"])
    if detail["type"] == "extra_forbidden":
        sections: dict[str, type[Block]] = {"sampling": Sampling, "search": Search}
        section = sections.get(str(where[0]), PlanFile)
        close = difflib.get_close_matches(str(where[-1]), section.model_fields, n=1)
        hint = f" (did you mean '{close[0]}'?)" if close else ""
        return plan_error(document, where, f"unknown key{hint}")
    extra = {"list_type": "must be a list", "bool_type": "must be true or false",
             "greater_than": "must be above {gt}", "less_than": "must be below {lt}"}  # fmt: skip
    context: dict[str, Any] = dict(detail.get("ctx", {}))
    words = extra.get(detail["type"], "").format(**context)
    words = words or must_be(detail["type"], context, detail["msg"])
    return plan_error(document, where, f"{words}, not {shown_value(detail['input'])}")


def _at(document: Document, where: tuple[Any, ...], make: Callable[[], T]) -> T:
    """What `make` returns; its error gets the place of the key `where`."""
    try:
        return make()
    except AzsimError as error:
        raise plan_error(document, where, str(error)) from None


def _axes(file: PlanFile, document: Document) -> Iterator[Axis]:
    if len(file.axes) > MAX_AXES:
        raise plan_error(document, ("axes",), f"must be at most {MAX_AXES} axes")
    for name, what in file.axes.items():
        yield _at(document, ("axes", name), partial(make_axis, name, what))


def _expressions(key: str, texts: list[str], document: Document) -> Iterator[Expression]:
    for text in texts:
        yield _at(document, (key,), partial(parse_expression, text))


def _columns(file: PlanFile, document: Document) -> Iterator[tuple[str, Expression]]:
    for name, text in file.columns.items():
        if not all(part.isidentifier() for part in name.split(".")):
            raise plan_error(
                document, ("columns", name), "must be a name of letters, digits and '_'"
            )
        yield name, _at(document, ("columns", name), partial(parse_expression, text))


def _check_plan(plan: Plan) -> None:
    file = plan.file
    _check_points(plan)
    if file.model is None and "model" not in plan.axis_names:
        raise plan.error(("model",), "must be present, as 'zoo:NAME' or the path of an ONNX file")
    for key in ("bits", "sparsity", "frame_ms", "host_traffic"):
        value = getattr(file, key)
        if value is not None:
            _at(plan.document, (key,), partial(OPTION_CHECKS[key], value))
    _ = plan.chips  # a wrong name is refused before anything is looked for in a chip
    for axis in plan.axes:
        _check_axis(plan, ("axes", axis.name), axis.name, axis.levels or (axis.low, axis.high))
    for number, point in enumerate(file.points):
        for name, value in point.items():
            _check_axis(plan, ("points", number, name), name, (value,))


def _check_points(plan: Plan) -> None:
    file = plan.file
    if file.points and (plan.axes or file.sampling.method != "list"):
        raise plan.error(("points",), "must stand with 'sampling: {method: list}' and without axes")
    if not file.points and file.sampling.method == "list":
        raise plan.error(("sampling", "method"), "list: must stand with 'points'")
    if not file.points and not plan.axes:
        raise plan.error(("axes",), "must have at least one axis")


def _check_axis(plan: Plan, where: tuple[Any, ...], name: str, values: tuple[Scalar, ...]) -> None:
    """Refuse a name that is no axis, and values that no chip or option can have."""
    check: Callable[[Scalar], None]
    if name.startswith("layer_bits."):
        check = _check_bits
    elif name.startswith("layer_sparsity."):
        check = _check_share
    elif name in OPTION_CHECKS:
        check = OPTION_CHECKS[name]
    else:
        _check_key(plan, where, name)
        for value in values:
            _check_chip_value(plan, where, ALIASES.get(name, name), value)
        return
    for value in values:
        _at(plan.document, where, partial(check, value))


def _check_key(plan: Plan, where: tuple[Any, ...], name: str) -> None:
    if "." in name or name in ALIASES:
        return
    known = [*OPTION_CHECKS, *ALIASES, *(dotted(key) for key, _ in schema_keys())]
    close = difflib.get_close_matches(name, known, n=1)
    ends = [key for key in known if key.endswith(f".{name}")]
    hint = f" (did you mean '{(ends or close)[0]}'?)" if ends or close else ""
    raise plan.error(where, f"unknown key{hint}")


def _check_chip_value(plan: Plan, where: tuple[Any, ...], key: str, value: Scalar) -> None:
    """Refuse a value that none of the plan's chips takes, whatever the other keys are."""
    refusal: ConfigError | None = None
    for chip in plan.chips.values():
        try:
            override_chip(chip, [override_text(key, value)])
            return
        except ChipRuleError:
            return  # another axis may mend it
        except ConfigError as error:
            refusal = error
    text = str(refusal).split("': ", 1)[-1].removeprefix(f"{key}: ")
    raise plan.error(where, text)


def _load_chips(plan: Plan) -> dict[str, ChipConfig]:
    listed = [point["chip"] for point in plan.file.points if "chip" in point]
    swept = [axis.levels for axis in plan.axes if axis.name == "chip"]
    # every point names its chip, or the plan's own is needed
    names: list[Any] = [*swept[0]] if swept else [plan.file.chip, *listed]
    where = ("axes", "chip") if swept else ("chip",)
    overrides = [override_text(ALIASES.get(k, k), v) for k, v in plan.file.set.items()]
    chips: dict[str, ChipConfig] = {}
    for name in dict.fromkeys(names):
        path = plan.folder / name if str(name).endswith((".yaml", ".yml")) else str(name)
        chip = _at(plan.document, where, partial(load_chip, path))
        try:
            chips[str(name)] = override_chip(chip, overrides)
        except ChipRuleError as error:
            raise plan.error(("set",), str(error)) from None
        except ConfigError as error:
            raise plan.error(("set",), str(error).split("': ", 1)[-1]) from None
    return chips
