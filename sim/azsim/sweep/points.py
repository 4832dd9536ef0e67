"""From axes to points: grid, random, Latin hypercube or list, less what `where` leaves out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from azsim.errors import ConfigError
from azsim.sweep.expressions import Scalar
from azsim.sweep.plan import ALIASES, MAX_POINTS, Plan, chip_key

Settings = dict[str, Scalar]  # axis name -> value

FREE_POINTS = 10_000  # more than these are asked for
FREE_CANDIDATES = 200_000  # of a grid, before `where`
_TRIES = 100  # random draws for each point asked for


def plan_points(plan: Plan, yes: bool = False) -> list[Settings]:
    """Return the plan's points in their order, each once.

    Raises:
        ConfigError: more points than a plan may have without `yes`, or none at all.
    """
    _check_count(plan, _candidates(plan), FREE_CANDIDATES, yes)
    points: dict[str, Settings] = {}
    limit = MAX_POINTS if yes else FREE_POINTS
    draws = _drawn(plan)
    wanted = plan.file.sampling.points if plan.file.sampling.method == "random" else None
    for settings in draws:
        if is_wanted(plan, settings):
            points.setdefault(repr(sorted(settings.items(), key=str)), settings)
        _check_count(plan, len(points), limit, yes)
        if wanted is not None and len(points) == wanted:
            break
    if not points:
        raise plan.error(("where",), "must leave at least one point")
    return list(points.values())


def _candidates(plan: Plan) -> int:
    sampling = plan.file.sampling
    if sampling.method == "list":
        return len(plan.file.points)
    if sampling.method != "grid":
        if sampling.points is None:
            raise plan.error(
                ("sampling",), f"must say how many 'points' for method {sampling.method}"
            )
        return sampling.points
    if sampling.points is not None:
        raise plan.error(("sampling", "points"), "must be left out for method grid")
    count = 1
    for axis in plan.axes:
        if not axis.levels:
            raise plan.error(
                ("axes", axis.name), "must have step, steps, factor or a list of values for a grid"
            )
        count *= len(axis.levels)
    return count


def _check_count(plan: Plan, count: int, free: int, yes: bool) -> None:
    if count > MAX_POINTS:
        raise ConfigError(
            f"{plan.document.where}: gives {count:,} points; at most {MAX_POINTS:,} can be swept"
        )
    if count > free and not yes:
        raise ConfigError(
            f"{plan.document.where}: gives {count:,} points or more;"
            f" more than {free:,} must be asked for with --yes"
        )


def _drawn(plan: Plan) -> Iterator[Settings]:
    sampling, names = plan.file.sampling, [axis.name for axis in plan.axes]
    if sampling.method == "list":
        yield from (dict(point) for point in plan.file.points)
    elif sampling.method == "grid":
        for values in itertools.product(*(axis.levels for axis in plan.axes)):
            yield dict(zip(names, values, strict=True))
    else:
        for row in _shares(sampling.method, len(names), sampling.points or 1, sampling.seed):
            yield {
                axis.name: axis.at(float(share)) for axis, share in zip(plan.axes, row, strict=True)
            }


def _shares(method: str, axes: int, points: int, seed: int) -> Iterator[Any]:
    """Rows of shares (0 to below 1), one per axis."""
    rng = np.random.default_rng(seed)
    if method == "random":
        yield from (rng.random(axes) for _ in range(points * _TRIES))
        return
    from scipy.stats import qmc  # takes a while to load

    yield from qmc.LatinHypercube(d=axes, rng=rng).random(points)


def is_wanted(plan: Plan, settings: Settings) -> bool:
    """True if all of the plan's `where` hold. Raises ConfigError for a name it cannot know."""
    if not plan.where:
        return True
    figures = known_figures(plan, settings)
    try:
        return all(expression.holds(figures) for expression in plan.where)
    except ConfigError as error:
        raise plan.error(("where",), str(error)) from None


def known_figures(plan: Plan, settings: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Everything that is known of a point before it is run: chip keys and options by name."""
    file = plan.file
    chip = str(settings.get("chip", file.chip))
    figures = dict(plan.chip_figures[chip])
    for key in ("model", "input", "frames", "bits", "sparsity", "frames_per_pass", "frame_ms",
                "host_traffic", "seed"):  # fmt: skip
        figures[key] = getattr(file, key)
    figures["chip"] = chip
    for name, value in settings.items():
        figures[name] = value
        figures[chip_key(name) or name] = value
    for alias, key in ALIASES.items():
        figures[alias] = figures[key]
    return figures
