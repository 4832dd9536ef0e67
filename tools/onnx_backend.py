"""Run ONNX's own node tests through azsim and say what passed, what was refused and why.

`python tools/onnx_backend.py` prints the summary and writes docs/onnx_backend.md; `--check` only
says whether that page is stale; names of operators print their cases one by one. Exit code 1 if a
case fails or the page is stale.

A node test hands every input to the node when it runs. azsim wants weights, axes, shapes and the
like as constants, so a case is tried in up to three forms and the first that is read counts: as it
is; with its whole-number and truth inputs as constants; with all inputs but the first as constants.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import textwrap
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.defs
from onnx import numpy_helper

from azsim.api import run, sqnr_db
from azsim.errors import AzsimError, ModelError
from azsim.frontend import Inputs, read_onnx
from azsim.frontend.model_file import OLDEST_OPSET
from azsim.frontend.operators.elementwise import MASKED
from azsim.graph import Graph
from azsim.reference.floats import evaluate_floats, initial_states

PAGE = Path(__file__).resolve().parents[1] / "docs" / "onnx_backend.md"
SQNR_FLOOR_DB = 20.0
CHIP = "az1"
PASS, REFUSED, FAIL, COARSE = "pass", "refused", "fail", "coarse"
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)


@dataclass(frozen=True)
class Case:
    """One node test: the model as the suite has it, what goes in and what must come out."""

    name: str
    operator: str
    model: onnx.ModelProto
    given: Sequence[Any]
    wanted: Sequence[Any]
    rtol: float
    atol: float


@dataclass(frozen=True)
class Outcome:
    """What became of a case at one level; `text` is the reason of a refusal or failure, or the
    figure that was reached."""

    case: Case
    status: str
    text: str = ""
    graph: Graph | None = None


def load_cases() -> list[Case]:
    """Return all node tests of the installed onnx package, by name."""
    from onnx.backend.test.loader import load_model_tests  # seconds: it computes every case

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the suite divides by zero on purpose
        found = sorted(load_model_tests(kind="node"), key=lambda case: case.name)
    operators = {case.name: case.model.graph.node[0].op_type for case in found}
    return [
        Case(
            case.name,
            operators.get(case.name.split("_expanded")[0], operators[case.name]),
            case.model,
            *case.data_sets[0],
            case.rtol,
            case.atol,
        )
        for case in found
    ]


def lifted(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model at the oldest opset azsim reads, if its nodes mean the same there."""
    stated = [entry for entry in model.opset_import if entry.domain == ""]
    if len(stated) != 1 or stated[0].version >= OLDEST_OPSET:
        return model
    for node in model.graph.node:
        schema = onnx.defs.get_schema(node.op_type, OLDEST_OPSET, node.domain)
        if schema.since_version > stated[0].version:
            return model
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    changed.opset_import[0].version = OLDEST_OPSET
    return changed


def forms(case: Case) -> Iterator[onnx.ModelProto]:
    """Yield the case's model with more and more of its inputs as constants."""
    model = lifted(case.model)
    given = list(model.graph.input)
    kinds = [value.type.tensor_type.elem_type for value in given]
    whole = [position for position, kind in enumerate(kinds) if kind not in FLOATS]
    tried: list[list[int]] = []
    for constants in ([], whole, list(range(1, len(given)))):
        if constants in tried or (constants and len(constants) == len(given)):
            continue
        tried.append(constants)
        form = onnx.ModelProto()
        form.CopyFrom(model)
        del form.graph.input[:]
        for position, value in enumerate(given):
            if position in constants:
                form.graph.initializer.append(_tensor(case.given[position], value.name))
            else:
                form.graph.input.append(value)
        yield form


def _tensor(data: Any, name: str) -> onnx.TensorProto:
    """`data` as a stored tensor; the suite itself holds what numpy has no type for as one."""
    if not isinstance(data, onnx.TensorProto):
        return numpy_helper.from_array(np.asarray(data), name)
    tensor = onnx.TensorProto()
    tensor.CopyFrom(data)
    tensor.name = name
    return tensor


def _array(data: Any) -> npt.NDArray[Any]:
    return numpy_helper.to_array(data) if isinstance(data, onnx.TensorProto) else np.asarray(data)


def feeds(case: Case, graph: Graph) -> dict[str, npt.NDArray[Any]]:
    """The case's data for what are still inputs of `graph`; 8-bit integers as numbers."""
    arrays = dict(zip((v.name for v in case.model.graph.input), case.given, strict=False))
    found = {}
    for name in graph.inputs:
        grid = graph.values[name].quantization
        array = _array(arrays[name])
        if grid is not None:
            array = (array.astype(np.float32) - grid.zero_point) * np.float32(grid.scale)
        found[name] = array.astype(np.float32) if array.dtype.kind == "f" else array
    return found


def read_case(case: Case, folder: Path) -> Outcome:
    """Read the first form of the case that azsim takes."""
    reason = "inputs must be tensors"
    if not all(value.type.HasField("tensor_type") for value in case.model.graph.input):
        return Outcome(case, REFUSED, reason)
    for form in forms(case):
        path = folder / f"{case.name}.onnx"
        path.write_bytes(form.SerializeToString())
        try:
            return Outcome(case, PASS, graph=read_onnx(path))
        except ModelError as error:
            reason = str(error).removeprefix(f"{path}: ")
    # that the nodes do not give the shape which the case states is our mistake, not a rule
    return Outcome(case, FAIL if " is stated as " in reason else REFUSED, reason)


def float_outcome(case: Case, folder: Path) -> Outcome:
    """Evaluate the case in float32 and compare within its own tolerances."""
    read = read_case(case, folder)
    if read.graph is None:
        return read
    graph = read.graph
    try:
        values, _ = evaluate_floats(graph, feeds(case, graph), initial_states(graph))
    except ModelError as error:
        return Outcome(case, REFUSED, str(error))
    names = [value.name for value in case.model.graph.output]
    for name, wanted in zip(names, case.wanted, strict=True):
        difference = _difference(graph, name, values[name], _array(wanted), case)
        if difference:
            return Outcome(case, FAIL, f"output '{name}': {difference}")
    return read


def _difference(
    graph: Graph, name: str, got: npt.NDArray[Any], wanted: npt.NDArray[Any], case: Case
) -> str:
    """Say how `got` differs from what the case wants, "" if it does not."""
    grid = graph.values[name].quantization
    if grid is not None and wanted.dtype.kind in "iu":
        got = np.rint(got / np.float32(grid.scale)) + grid.zero_point
    if got.shape != wanted.shape:
        return f"shape {got.shape}, not {wanted.shape}"
    atol = case.atol
    if wanted.dtype == np.float16 and wanted.size:  # the suite itself rounds every step to it
        atol = max(atol, float(np.abs(wanted).max()) * 2.0**-10)
    elif wanted.dtype.kind == "f" and wanted.size:  # what float32 leaves of sums that cancel
        finite = np.abs(wanted[np.isfinite(wanted)])
        atol = max(atol, float(finite.max(initial=0.0)) * 2.0**-22)
    wanted = wanted.astype(np.float64)
    if np.isinf(wanted).any():  # the reader's own number for what a mask rules out
        got, wanted = np.clip(got, -MASKED, MASKED), np.clip(wanted, -MASKED, MASKED)
    if np.allclose(got, wanted, case.rtol, atol, equal_nan=True):
        return ""
    return f"off by {np.abs(got - wanted).max():.3g}"


def integer_outcome(read: Outcome, folder: Path) -> Outcome:
    """Compile what was read, simulate it beside the integer reference, and hold its results
    against float: bit for bit the same as the reference, and above the floor in dB."""
    case, graph = read.case, read.graph
    if graph is None:
        return read
    frames = {name: array[np.newaxis] for name, array in feeds(case, graph).items()}
    try:
        record = run(graph, input=Inputs(frames, case.name), chip=CHIP, verify=True, cache=False)
    except AzsimError as error:
        return Outcome(case, REFUSED, str(error))
    if record.verification is None or record.verification.exact != record.verification.steps:
        return Outcome(case, FAIL, "simulated integers must be those of the reference")
    figure = _worst(record.sqnr_db.values())
    if figure is None or figure >= SQNR_FLOOR_DB:
        return Outcome(case, PASS, "" if figure is None else f"{figure:.0f} dB")
    inherent = _rounded_alone(case, read, folder)
    if inherent is not None and inherent < SQNR_FLOOR_DB:
        return Outcome(case, COARSE, f"{figure:.0f} dB; 8-bit data alone {inherent:.0f} dB")
    return Outcome(case, FAIL, f"{figure:.0f} dB")


def _worst(ratios: Iterable[float | None]) -> float | None:
    return min((ratio for ratio in ratios if ratio is not None), default=None)


def _rounded_alone(case: Case, read: Outcome, folder: Path) -> float | None:
    """dB of the float evaluation if no more is done than rounding each float array that the case
    gives to 8 bits over its own range; what is lost there no 8-bit machine can have."""
    rounded = float_values(
        read_case(replace(case, given=list(map(_on_8_bits, case.given))), folder)
    )
    exact = float_values(read)
    return _worst(sqnr_db(exact[name], rounded[name]) for name in exact if name in rounded)


def _on_8_bits(data: Any) -> Any:
    if isinstance(data, onnx.TensorProto) or data.dtype.kind != "f" or not data.size:
        return data
    largest = np.abs(data[np.isfinite(data)]).max(initial=0.0)
    return (
        data
        if largest == 0.0
        else (np.rint(data / largest * 127) / 127 * largest).astype(data.dtype)
    )


def float_values(read: Outcome) -> dict[str, npt.NDArray[Any]]:
    """What the outputs of a case that was read are in float32."""
    graph = read.graph
    if graph is None:
        return {}
    values, _ = evaluate_floats(graph, feeds(read.case, graph), initial_states(graph))
    return {name: values[name] for name in graph.outputs}


def run_suite(cases: Sequence[Case]) -> list[tuple[Outcome, Outcome]]:
    """Return for each case what became of it in float and in integers."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for case in cases:
            outcome = float_outcome(case, folder)
            passed = outcome.status == PASS
            found.append((outcome, integer_outcome(outcome, folder) if passed else outcome))
    return found


# -- the page -----------------------------------------------------------------------------------


def rule_of(outcome: Outcome) -> str:
    """The rule in a refusal, without the names in it and without what there is instead; where a
    node of the operator's definition is refused, that one's operator stands in front."""
    at = re.match(r"node '[^']*' \((\w+)\): ", outcome.text)
    text = outcome.text[at.end() :] if at else re.sub(r" '[^']*'", "", outcome.text, count=1)
    text = re.split(r", not |; |: all ", text)[0]
    inner = at.group(1) if at else outcome.case.operator
    return text if inner == outcome.case.operator else f"{inner}: {text}"


def page(results: Sequence[tuple[Outcome, Outcome]]) -> str:
    """The page of all results: a row for each operator of which some case is taken, then the
    others."""
    groups: dict[str, list[tuple[Outcome, Outcome]]] = {}
    for pair in results:
        groups.setdefault(pair[0].case.operator, []).append(pair)
    taken = {k: v for k, v in groups.items() if any(f.status != REFUSED for f, _ in v)}
    count = Counter(f.status for f, _ in results)
    lines = [
        *_head(results, count),
        "| operator | cases | float | integers | coarse | refused | because |",
        "|---|---|---|---|---|---|---|",
        *(_row(operator, taken[operator]) for operator in sorted(taken)),
        "",
        "## Operators of which no case is taken",
        "",
        *_untaken({k: v for k, v in groups.items() if k not in taken}),
    ]
    return "\n".join(lines) + "\n"


def counts_line(count: Mapping[str, int]) -> str:
    """The line that says what became of all cases."""
    refused = f"{count.get(REFUSED, 0)} are refused with a reason"
    return f"* **{count.get(PASS, 0)} pass, {refused}, {count.get(FAIL, 0)} fail.**"


def _head(results: Sequence[tuple[Outcome, Outcome]], count: Counter[str]) -> list[str]:
    whole = Counter(i.status for f, i in results if f.status == PASS)
    figures = sorted(float(i.text.split()[0]) for _, i in results if i.status == PASS and i.text)
    median = figures[len(figures) // 2]
    return [
        "# ONNX's own node tests",
        "",
        "Made by `python tools/onnx_backend.py` from the node tests that the onnx package brings",
        f"(onnx {onnx.__version__}, {len(results)} cases).",
        "",
        counts_line(count),
        "* Float: the graph that azsim reads, evaluated in float32, is within the case's own",
        "  tolerances (at least 2^-22 of the largest result; in float16, which the suite rounds at",
        "  every step, 2^-10).",
        f"* Integers: {whole[PASS]} of these compile for `{CHIP}` with 8 bits, calibrated on the",
        "  case's own data; the simulated integers are bit for bit those of the integer reference,",
        f"  and at least {SQNR_FLOOR_DB:g} dB above their difference to float (median"
        f" {median:.0f} dB). {whole[FAIL]} fail.",
        f"* Coarse: {whole[COARSE]} cases hold data that 8 bits cannot tell apart (0 to 3 beside",
        "  10000 to 10003, numbers next to a half that is rounded). Rounding those data alone, and",
        "  computing on in float, falls below the same floor.",
        f"* {whole[REFUSED]} cases are read but have no integer form; their reason is in the row.",
        "* A node test hands every input to the node as it runs. A case that is refused so is",
        "  tried with its whole-number and truth inputs as constants, then with all but the first",
        "  input as constants, as real models have them. A case of an opset below 13 counts as one",
        "  of 13 where its operator did not change.",
        "",
    ]


def _reasons(refused: Iterable[Outcome]) -> str:
    rules = Counter(rule_of(outcome) for outcome in refused)
    text = "; ".join(f"{rule} ({number})" for rule, number in rules.most_common())
    return text.replace("|", "\\|")


def _row(operator: str, pairs: Sequence[tuple[Outcome, Outcome]]) -> str:
    floats = Counter(f.status for f, _ in pairs)
    whole = Counter(i.status for f, i in pairs if f.status == PASS)
    refused = [i for _, i in pairs if i.status == REFUSED]
    cells = (len(pairs), floats[PASS], whole[PASS], whole[COARSE], len(refused))
    return f"| {operator} | {' | '.join(map(str, cells))} | {_reasons(refused)} |"


def _untaken(groups: Mapping[str, Sequence[tuple[Outcome, Outcome]]]) -> list[str]:
    """One line for each reason that is not simply that the operator is unknown."""
    plain, lines = [], []
    for operator, pairs in sorted(groups.items()):
        reasons = _reasons(outcome for outcome, _ in pairs)
        if all("must be one that 'azsim ops' lists" in outcome.text for outcome, _ in pairs):
            plain.append(f"{operator} ({len(pairs)})")
        else:
            lines.append(f"* {operator} ({len(pairs)}): {reasons}")
    unknown = textwrap.fill(", ".join(plain) + ".", 100, break_on_hyphens=False)
    return [
        *lines,
        "",
        "Not listed by `azsim ops` and not defined by operators that are:",
        "",
        unknown,
    ]


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; return the exit code."""
    check = "--check" in arguments
    wanted = {word for word in arguments if word != "--check"}
    cases = [case for case in load_cases() if not wanted or case.operator in wanted]
    results = run_suite(cases)
    failed = [o for o in {id(o): o for pair in results for o in pair}.values() if o.status == FAIL]
    for outcome in failed:
        sys.stderr.write(f"{outcome.case.name}: {outcome.text}\n")
    if wanted:
        for found, whole in results:
            print(f"{found.case.name}: {found.status}, {whole.status} {whole.text}")
        return 1 if failed or not cases else 0
    text = page(results)
    print("\n".join(line for line in text.splitlines()[:8]))
    if check:
        stale = not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text
        if stale:
            sys.stderr.write("docs/onnx_backend.md: must be what tools/onnx_backend.py writes\n")
        return 1 if failed or stale else 0
    temporary = PAGE.with_name(f".{PAGE.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, PAGE)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
