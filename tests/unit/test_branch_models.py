"""Nets with an If in the forms that people and exporters write, small, against ONNX Runtime: every
condition, what branches take from outside, states of one branch, several If of one condition."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from azsim.api import run
from azsim.branch_run import float_branches
from azsim.errors import ModelError
from azsim.frontend import Inputs
from azsim.frontend.branches import read_branches

WIDTH, STEPS = 16, 24
Part = tuple[list[NodeProto], list[TensorProto]]
node, info = helper.make_node, helper.make_tensor_value_info


def weights(name: str, *shape: int, deviation: float = 0.4) -> TensorProto:
    seed = [*name.encode()]
    values = deviation * np.random.default_rng(seed).normal(size=shape)
    return numpy_helper.from_array(values.astype(np.float32), name)


def number(name: str, value: float) -> TensorProto:
    return numpy_helper.from_array(np.array([value], np.float32), name)


def dense(x: str, name: str, out: str = "", width: int = WIDTH) -> Part:
    made = node("Gemm", [x, f"{name}.w", f"{name}.b"], [out or f"{name}.y"], name=name, transB=1)
    return [made], [weights(f"{name}.w", width, WIDTH), weights(f"{name}.b", width)]


def body(nodes: Sequence[NodeProto], outputs: Sequence[str], stored: Sequence[TensorProto] = (),
         shape: tuple[int, ...] = (1, WIDTH)) -> GraphProto:  # fmt: skip
    ends = [info(name, TensorProto.FLOAT, shape) for name in outputs]
    return helper.make_graph(nodes, "body", [], ends, stored)


def deep() -> GraphProto:
    (first,), stored = dense("x", "deep.0")
    (last,), more = dense("deep.r", "deep.1")
    relu = node("Relu", ["deep.0.y"], ["deep.r"], name="deep.relu")
    return body([first, relu, last], ["deep.1.y"], [*stored, *more])


def shallow() -> GraphProto:
    nodes, stored = dense("x", "shallow")
    return body(nodes, ["shallow.y"], stored)


def pick(then: GraphProto, other: GraphProto, condition: str = "cond",
         outputs: Sequence[str] = ("chosen",), name: str = "pick") -> NodeProto:  # fmt: skip
    return node("If", [condition], outputs, name=name, then_branch=then, else_branch=other)


def model(
    nodes: Sequence[NodeProto],
    stored: Sequence[TensorProto],
    inputs: dict[str, tuple[int, ...]] | None = None,
    outputs: dict[str, tuple[int, ...]] | None = None,
    states: dict[str, str] | None = None,
) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "net",
        [info("x", TensorProto.FLOAT, (1, WIDTH)), *_infos(inputs)],
        [info("out", TensorProto.FLOAT, (1, WIDTH)), *_infos(outputs)],
        stored,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(made, {"azsim.state": json.dumps(states)} if states else {})
    return made


def _infos(values: dict[str, tuple[int, ...]] | None) -> list[onnx.ValueInfoProto]:
    kinds = {
        name: TensorProto.BOOL if name == "flag" else TensorProto.FLOAT for name in values or {}
    }
    return [info(name, kinds[name], shape) for name, shape in (values or {}).items()]


def net(condition: Part, then: GraphProto | None = None, other: GraphProto | None = None,
        more: Part = ([], [])) -> ModelProto:  # fmt: skip
    """Scores of two, a condition of them, the choice, and a layer behind it."""
    scores, first = dense("x", "scores", "", 2)
    last, stored = dense("chosen", "last", "out")
    made, constants = condition
    nodes = [*scores, *made, *more[0], pick(then or deep(), other or shallow()), *last]
    return model(nodes, [*first, *constants, *more[1], *stored])


ONE = [numpy_helper.from_array(np.array([k], np.int64), f"at{k}") for k in (0, 1)]
FIRST = node("Slice", ["scores.y", "at0", "at1", "at1"], ["score"])  # axis 1


def above(limit: float) -> Part:
    return [FIRST, node("Greater", ["score", "limit"], ["cond"])], [*ONE, number("limit", limit)]


def _argmax(*more: NodeProto) -> Part:
    best = node("ArgMax", ["scores.y"], ["best"], axis=1, keepdims=0)
    return [best, *more], [*ONE, numpy_helper.from_array(np.array([1], np.int32), "one32")]


CONDITIONS: dict[str, Callable[[], Part]] = {
    "argmax is 0": lambda: _argmax(node("Equal", ["best", "at0"], ["cond"])),
    "argmax in another type": lambda: _argmax(
        node("Cast", ["best"], ["best32"], to=TensorProto.INT32),
        node("Equal", ["best32", "one32"], ["cond"]),
    ),
    "argmax as float": lambda: (
        _argmax()[0]
        + [
            node("Cast", ["best"], ["bestf"], to=TensorProto.FLOAT),
            node("Greater", ["bestf", "half"], ["cond"]),
        ],
        [number("half", 0.5)],
    ),
    "score above": lambda: above(0.1),
    "less, and not": lambda: (
        [FIRST, node("Less", ["score", "limit"], ["less"]), node("Not", ["less"], ["cond"])],
        [*ONE, number("limit", 0.1)],
    ),
    "limit in a node": lambda: (
        [
            FIRST,
            node("Constant", [], ["limit"], value_float=0.1),
            node("Greater", ["score", "limit"], ["cond"]),
        ],
        ONE,
    ),
    "sigmoid above": lambda: (
        [FIRST, node("Sigmoid", ["score"], ["p"]), node("Greater", ["p", "limit"], ["cond"])],
        [*ONE, number("limit", 0.5)],
    ),
    "two scores": lambda: (
        [
            node("Split", ["scores.y"], ["s0", "s1"], axis=1, num_outputs=2),
            node("LessOrEqual", ["s0", "s1"], ["cond"]),
        ],
        [],
    ),
    "mean of the input": lambda: (
        [
            node("ReduceMean", ["x"], ["mean"], keepdims=0),
            node("Greater", ["mean", "zero"], ["cond"]),
        ],
        [number("zero", 0.0)],
    ),
    "between": lambda: (
        [
            FIRST,
            node("Greater", ["score", "low"], ["a"]),
            node("Less", ["score", "high"], ["b"]),
            node("And", ["a", "b"], ["cond"]),
        ],
        [*ONE, number("low", -0.4), number("high", 0.9)],
    ),
    "one of the truths": lambda: (
        [
            node("Greater", ["scores.y", "zero"], ["truths"]),
            node("Slice", ["truths", "at0", "at1", "at1"], ["cond"]),
        ],
        [*ONE, number("zero", 0.0)],
    ),
}


def _skip() -> GraphProto:
    return body([node("Identity", ["x"], ["same"])], ["same"])


def _tanh(x: str = "x") -> GraphProto:
    return body([node("Tanh", [x], ["bent"])], ["bent"])


def _shared() -> ModelProto:
    """Both branches take a layer from outside; one takes its weights from there, too."""
    shared, stored = dense("x", "shared")
    then, outside = dense("shared.y", "outer")
    more = (shared, [*stored, *outside])
    return net(above(0.1), body(then, ["outer.y"]), _tanh("shared.y"), more)


def _own_constant() -> ModelProto:
    scale = node("Constant", [], ["scale"], value=number("", 0.7))
    return net(above(0.1), other=body([scale, node("Mul", ["x", "scale"], ["t"])], ["t"]))


def _scaled_by_the_score() -> ModelProto:
    return net(above(0.1), body([node("Mul", ["x", "score"], ["t"])], ["t"]), _tanh())


def _one_name_in_both() -> ModelProto:
    (first,), stored = dense("x", "same")
    (second,), more = dense("x", "same")
    relu = node("Relu", ["same.y"], ["r"])
    return net(above(0.1), body([first], ["same.y"], stored), body([second, relu], ["r"], more))


def _several(*conditions: str) -> ModelProto:
    """A choice for each condition, one behind the other, with the same names inside."""
    scores, stored = dense("x", "scores", "", 2)
    made, constants = above(0.1)
    nodes, before = [*scores, *made, node("Not", ["cond"], ["other"])], "x"
    nodes += [node("Less", ["score", "limit"], ["less"])]
    for number_, condition in enumerate(conditions):
        (inside,), weights_ = dense(before, "inside")
        then, other = body([inside], ["inside.y"], weights_), _tanh(before)
        nodes.append(pick(then, other, condition, [f"c{number_}"], f"pick{number_}"))
        before = f"c{number_}"
    last, more = dense(before, "last", "out")
    return model([*nodes, *last], [*stored, *constants, *more])


def _state_in_one() -> ModelProto:
    """An LSTM in one branch; the other one hands its states through."""
    shape = (1, 1, WIDTH)
    names = ["cell.W", "cell.R", "cell.B"]
    cell = [
        node("Unsqueeze", ["x", "at0"], ["x3"]),
        node("LSTM", ["x3", *names, "", "h", "c"], ["Y", "h1", "c1"], "cell", hidden_size=WIDTH),
        node("Squeeze", ["Y", "at01"], ["y"]),
    ]
    stored = [
        weights("cell.W", 1, 4 * WIDTH, WIDTH),
        weights("cell.R", 1, 4 * WIDTH, WIDTH, deviation=0.2),
        weights("cell.B", 1, 8 * WIDTH),
        numpy_helper.from_array(np.array([0, 1], np.int64), "at01"),
    ]
    (small,), own = dense("x", "small")
    keep = [node("Identity", [name], [f"{name}.kept"]) for name in ("h", "c")]
    ends = [info(n, TensorProto.FLOAT, shape) for n in ("h1", "c1", "h.kept", "c.kept")]
    rows = [info(n, TensorProto.FLOAT, (1, WIDTH)) for n in ("y", "small.y")]
    then = helper.make_graph(cell, "then", [], [rows[0], *ends[:2]], stored)
    other = helper.make_graph([small, *keep], "else", [], [rows[1], *ends[2:]], own)
    scores, first = dense("x", "scores", "", 2)
    made, constants = above(0.1)
    last, more = dense("chosen", "last", "out")
    nodes = [*scores, *made, pick(then, other, "cond", ("chosen", "h.new", "c.new")), *last]
    states = {"h": "h.new", "c": "c.new"}
    return model(
        nodes,
        [*first, *constants, *more],
        dict.fromkeys(states, shape),
        dict.fromkeys(states.values(), shape),
        states,
    )


def _flag(name: str) -> ModelProto:
    """The choice comes from outside, as a truth or as a number."""
    last, stored = dense("chosen", "last", "out")
    compare = [] if name == "flag" else [node("Greater", [name, "limit"], ["cond"])]
    chosen = pick(deep(), shallow(), name if name == "flag" else "cond")
    return model([*compare, chosen, *last], [number("limit", 0.2), *stored], {name: (1,)})


def _score_is_an_output() -> ModelProto:
    made = net(above(0.1))
    made.graph.output.append(info("score", TensorProto.FLOAT, (1, 1)))
    return made


NETS: dict[str, Callable[[], ModelProto]] = {
    **{name: lambda part=part: net(part()) for name, part in CONDITIONS.items()},  # type: ignore[misc]
    "skip": lambda: net(above(0.1), other=_skip()),
    "from outside": _shared,
    "constant inside": _own_constant,
    "score inside": _scaled_by_the_score,
    "one name in both": _one_name_in_both,
    "state in one": _state_in_one,
    "flag": lambda: _flag("flag"),
    "level": lambda: _flag("level"),
    "score is an output": _score_is_an_output,
    "twice": lambda: _several("cond", "cond"),
    "and the opposite": lambda: _several("cond", "other", "cond"),
}


def frames_of(made: ModelProto) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    frames = {"x": rng.normal(size=(STEPS, 1, WIDTH)).astype(np.float32)}
    names = {value.name for value in made.graph.input}
    if "flag" in names:
        frames["flag"] = rng.integers(0, 2, (STEPS, 1)).astype(bool)
    if "level" in names:
        frames["level"] = rng.normal(size=(STEPS, 1)).astype(np.float32)
    return frames


def onnxruntime_outputs(made: ModelProto, frames: dict[str, np.ndarray]) -> list[np.ndarray]:
    """`out` of each step, states carried on."""
    session = onnxruntime.InferenceSession(made.SerializeToString())
    texts = {entry.key: entry.value for entry in made.metadata_props}
    states = json.loads(texts.get("azsim.state", "{}"))
    feeds = {name: np.zeros((1, 1, WIDTH), np.float32) for name in states}
    names, rows = [output.name for output in session.get_outputs()], []
    for step in range(STEPS):
        given = {name: array[step] for name, array in frames.items()}
        outputs = dict(zip(names, session.run(None, {**feeds, **given}), strict=True))
        rows.append(outputs["out"])
        feeds = {source: outputs[result] for source, result in states.items()}
    return rows


@pytest.mark.parametrize("name", NETS)
def test_taken_and_exact(tmp_path: Path, name: str) -> None:
    made = NETS[name]()
    onnx.checker.check_model(made, full_check=True)
    path = tmp_path / "net.onnx"
    path.write_bytes(made.SerializeToString())
    frames = frames_of(made)
    taken, inputs = read_branches(path), Inputs(frames, "noise")
    assert taken is not None
    floats = float_branches(taken, inputs, lambda *_: None)
    wanted = onnxruntime_outputs(made, frames)
    np.testing.assert_allclose(floats.outputs["out"], np.stack(wanted), atol=1e-4)
    record = run(path, input=inputs, chip="az1", verify=True, cache=False)
    assert record.verification is not None
    assert (record.verification.exact, record.verification.first_difference) == (STEPS, "")
    assert record.branches is not None
    assert set(record.branches.chosen) == {"then", "else"}
    assert record.branches.float_agrees >= STEPS - 2  # 8 bits may move a close decision


def _nested() -> ModelProto:
    inner = pick(deep(), shallow(), "cond", ("inner.y",), "inner")
    return net(above(0.1), body([inner], ["inner.y"]))


def _always() -> ModelProto:
    constant = node("Constant", [], ["cond"], value=numpy_helper.from_array(np.array(True)))
    return net(([constant], []))


def _narrow() -> ModelProto:
    nodes, stored = dense("x", "narrow", "", 8)
    return net(above(0.1), other=body(nodes, ["narrow.y"], stored, (1, 8)))


def _zeros() -> ModelProto:
    zeros = numpy_helper.from_array(np.zeros((1, WIDTH), np.float32))
    return net(above(0.1), other=body([node("Constant", [], ["none"], value=zeros)], ["none"]))


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (
            lambda: _several("cond", "less"),
            "node 'pick1' (If): must have the condition of node 'pick0' (If): a model chooses once"
            " in a step",
        ),
        (
            _nested,
            "node 'inner' (If): must be the model's only If, and is taken by azsim run, compile,"
            " sweep, search and formats only",
        ),
        (
            _always,
            "node 'pick' (If): condition must depend on an input, it is always true: branch 'else'"
            " is never taken",
        ),
        (
            lambda: net(([node("Greater", ["scores.y", "zero"], ["cond"])], [number("zero", 0)])),
            "node 'pick' (If): 'scores.y' must be one number",
        ),
        (
            _narrow,
            "node 'last' (MatMul): the last dimension of input (1, 8) must be 16, the rows of"
            " weights (16, 16)",
        ),
        (_zeros, "output 'out' must be computed by a node"),
    ],
)
def test_refused_in_one_line(tmp_path: Path, make: Callable[[], ModelProto], line: str) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(make().SerializeToString())
    with pytest.raises(ModelError) as refusal:
        read_branches(path)
    assert str(refusal.value) == f"{path}: {line}"


def test_weights_of_a_branch_in_another_file(tmp_path: Path) -> None:
    made = NETS["score above"]()
    (tmp_path / "whole.onnx").write_bytes(made.SerializeToString())
    onnx.save_model(made, tmp_path / "split.onnx", save_as_external_data=True, size_threshold=0)
    inputs = Inputs(frames_of(made), "noise")
    rows = [
        float_branches(branched, inputs, lambda *_: None).outputs["out"]
        for branched in (read_branches(tmp_path / f"{name}.onnx") for name in ("whole", "split"))
        if branched is not None
    ]
    np.testing.assert_array_equal(rows[0], rows[1])


def test_names_inside_that_are_no_text(tmp_path: Path) -> None:
    content = NETS["score above"]().SerializeToString()
    path = tmp_path / "net.onnx"
    path.write_bytes(content.replace(b"deep.relu", b"deep.re\xff\xff"))
    with pytest.raises(ModelError) as refusal:
        read_branches(path)
    assert str(refusal.value) == f"{path}: must be an ONNX file; a name in it is not valid UTF-8"
