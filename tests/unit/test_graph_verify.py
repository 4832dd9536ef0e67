"""Does the verifier refuse each kind of unsound graph, and evaluation what it cannot take?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from azsim.errors import ModelError
from azsim.graph import Graph, Node, StatePair, Value, ValueKind, verify_graph
from azsim.graph.shapes import broadcast, element_count
from azsim.graph.text import quoted, shape_text
from azsim.graph.types import DEFAULT_OPERATORS
from azsim.reference.floats import evaluate_floats, initial_states, run_floats

pytestmark = pytest.mark.small

INPUT, STATE, CONSTANT, NODE = ValueKind


def sound() -> Graph:
    """x -> MatMul -> Add old -> new (carried), and Embed(token) beside it."""
    values = [
        Value("x", (1, 3), INPUT),
        Value("token", (1,), INPUT, is_index=True),
        Value("old", (1, 2), STATE),
        Value("W", (3, 2), CONSTANT, data=np.ones((3, 2), dtype=np.float32)),
        Value("table", (5, 2), CONSTANT, data=np.arange(10, dtype=np.float32).reshape(5, 2)),
        Value("p", (1, 2), NODE),
        Value("new", (1, 2), NODE),
        Value("e", (1, 2), NODE),
    ]
    nodes = (
        Node("fc", "MatMul", ("x", "W"), ("p",)),
        Node("sum", "Add", ("p", "old"), ("new",)),
        Node("rows", "Embed", ("table", "token"), ("e",)),
    )
    return Graph(
        name="sound",
        nodes=nodes,
        values={value.name: value for value in values},
        inputs=("x", "token"),
        outputs=("e",),
        states=(StatePair("old", "new"),),
    )


def with_values(*values: Value, graph: Graph | None = None) -> Graph:
    graph = graph or sound()
    return replace(graph, values={**graph.values, **{value.name: value for value in values}})


def with_node(index: int, **changes: object) -> Graph:
    graph = sound()
    nodes = list(graph.nodes)
    nodes[index] = replace(nodes[index], **changes)  # type: ignore[arg-type]
    return replace(graph, nodes=tuple(nodes))


def constant(name: str, data: object, dtype: type) -> Value:
    array = np.asarray(data, dtype=dtype)
    return Value(name, array.shape, CONSTANT, data=array)


def test_sound_graph() -> None:
    verify_graph(sound())


NAMES = ", ".join(DEFAULT_OPERATORS)

CASES = [
    (replace(sound(), nodes=()), "graph must have one or more nodes"),
    (replace(sound(), outputs=(), states=()), "graph must have one or more outputs"),
    (replace(sound(), outputs=("x",)), "output 'x' must be computed by a node"),
    (replace(sound(), outputs=("q",)), "output 'q' must be computed by a node"),
    (replace(sound(), inputs=("x", "x")), "input names must be unique"),
    (replace(sound(), inputs=("x",)), "value 'token' must be listed as input"),
    (replace(sound(), inputs=("x", "W")), "input 'W' must be a value of kind 'input'"),
    (replace(sound(), states=()), "value 'old' must be listed as state"),
    (
        replace(sound(), states=(StatePair("old", "x"),)),
        "state 'old': result 'x' must be computed",
    ),
    (
        with_values(Value("old", (1, 1), STATE)),
        "state 'old': result 'new' must have shape (1, 1), not (1, 2)",
    ),
    (with_values(Value("stray", (1,), NODE)), "value 'stray' must be computed by a node"),
    (with_values(Value("W", (3, 2), CONSTANT)), "constant 'W' must have data"),
    (
        with_values(constant("W", np.ones((3, 2)), np.float64)),
        "constant 'W' must be float32 or int64, not float64",
    ),
    (
        with_values(Value("W", (3, 2), CONSTANT, data=np.ones((2, 3), dtype=np.float32))),
        "constant 'W' must have shape (3, 2), not (2, 3)",
    ),
    (
        with_values(constant("W", [[1, np.nan]] * 3, np.float32)),
        "constant 'W' must be finite, not NaN or infinite",
    ),
    (
        with_values(constant("W", np.ones((3, 2)), np.int64)),
        "node 'fc' (MatMul): constant 'W' must be float32",
    ),
    (
        with_values(Value("x", (1, 3), INPUT, data=np.ones((1, 3), dtype=np.float32))),
        "value 'x' must have no data, it is no constant",
    ),
    (
        with_values(Value("x", (0, 3), INPUT)),
        "value 'x' must have dimensions of 1 or more, not (0, 3)",
    ),
    (
        with_values(Value("x", (1,) * 9, INPUT)),
        "value 'x' must have at most 8 dimensions, not 9",
    ),
    (
        with_values(Value("x", (1 << 14, 1 << 14), INPUT)),
        "value 'x' must hold at most 67108864 elements, not 268435456",
    ),
    (
        with_values(Value("old", (1, 2), STATE, is_index=True)),
        "value 'old' must be given or computed to be an index",
    ),
    (
        replace(sound(), values={**sound().values, "alias": Value("x", (1, 3), INPUT)}),
        "value 'alias' must carry its own name",
    ),
    (with_node(1, name="fc"), "node 'fc' (Add): node names must be unique and not empty"),
    (with_node(1, operator="Det"), f"node 'sum' (Det): operator must be one of {NAMES}"),
    (
        with_node(0, inputs=("new", "W")),
        "node 'fc' (MatMul): input 'new' must be known before the node",
    ),
    (
        with_node(0, inputs=("W", "x")),
        "node 'fc' (MatMul): input 'x' must be a constant",
    ),
    (with_node(0, inputs=("x",)), "node 'fc' (MatMul): must have 2 inputs, not 1"),
    (
        with_node(1, inputs=("p", "token")),
        "node 'sum' (Add): index 'token' may only choose rows of an Embed",
    ),
    (
        with_node(1, inputs=("W", "W")),
        "node 'sum' (Add): one or more inputs must be computed",
    ),
    (with_node(1, outputs=("",)), "node 'sum' (Add): one or more outputs must be named"),
    (
        with_node(1, outputs=("p",)),
        "node 'sum' (Add): output 'p' must be given by one node only",
    ),
    (
        with_node(1, outputs=("x",)),
        "node 'sum' (Add): output 'x' must be given by one node only",
    ),
    (
        with_node(1, outputs=("new", "p2")),
        "node 'sum' (Add): output 'p2' must be a value of kind 'node'",
    ),
    (
        with_values(Value("p", (1, 9), NODE)),
        "node 'fc' (MatMul): output 'p' must have shape (1, 2), not (1, 9)",
    ),
    (
        with_node(1, operator="Softmax", inputs=("p",), attributes={"axis": -1}),
        "node 'sum' (Softmax): axis must be from 0 to 1, not -1",
    ),
    (
        with_node(1, operator="Softmax", inputs=("p",)),
        "node 'sum' (Softmax): attribute 'axis' must be an integer",
    ),
    (
        with_node(
            1,
            operator="Slice",
            inputs=("p",),
            attributes={"starts": (0, 1), "ends": (1, 3), "steps": (1, 1)},
        ),
        "node 'sum' (Slice): start 1, end 3, step 1 must select one or more of 2 entries",
    ),
    (
        with_node(1, operator="Take", inputs=("p",), attributes={"axis": 1, "indices": (0, 2)}),
        "node 'sum' (Take): indices must be from 0 to 1, not 2",
    ),
    (
        with_node(1, operator="Take", inputs=("p",), attributes={"axis": 1, "indices": ()}),
        "node 'sum' (Take): indices must not be empty",
    ),
    (
        with_node(1, operator="Transpose", inputs=("p",), attributes={"perm": (0, 0)}),
        "node 'sum' (Transpose): perm must hold each of 2 dimensions once, not (0, 0)",
    ),
    (
        with_node(1, operator="Transpose", inputs=("p",), attributes={"perm": ("a", "b")}),
        "node 'sum' (Transpose): attribute 'perm' must be a list of integers",
    ),
    (
        with_node(1, operator="Reshape", inputs=("x",)),
        "node 'sum' (Reshape): shape (1, 2) must hold the 3 elements of (1, 3)",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("graph", "text"), CASES, ids=[text for _, text in CASES])
def test_unsound_graph(graph: Graph, text: str) -> None:
    with pytest.raises(ModelError) as refusal:
        verify_graph(graph)
    assert str(refusal.value) == text


LSTM_SHAPES = {
    "X": (2, 1, 3),
    "W": (1, 8, 3),
    "R": (1, 8, 2),
    "B": (1, 16),
    "h": (1, 1, 2),
    "c": (1, 1, 2),
}


@pytest.mark.parametrize(
    ("name", "shape", "text"),
    [
        ("X", (2, 3), "X must have 3 dimensions (steps, batch, features), not 2"),
        ("W", (1, 8, 4), "W must have shape (1, 8, 3), not (1, 8, 4)"),
        ("R", (8, 2), "R must have shape (1, 8, 2), not (8, 2)"),
        ("B", (16,), "B must have shape (1, 16), not (16)"),
        ("h", (1, 2, 2), "initial_h must have shape (1, 1, 2), not (1, 2, 2)"),
        ("c", (2, 1, 2), "initial_c must have shape (1, 1, 2), not (2, 1, 2)"),
    ],
)
def test_lstm_shapes(name: str, shape: tuple[int, ...], text: str) -> None:
    values = []
    for each, usual in LSTM_SHAPES.items():
        actual = shape if each == name else usual
        data = np.zeros(actual, dtype=np.float32) if each in "WRB" else None
        values.append(Value(each, actual, CONSTANT if each in "WRB" else INPUT, data=data))
    values.append(Value("Y", (2, 1, 1, 2), NODE))
    node = Node("rnn", "LSTM", tuple(LSTM_SHAPES), ("Y", "", ""), {"hidden_size": 2})
    graph = Graph("g", (node,), {v.name: v for v in values}, ("X", "h", "c"), ("Y",))
    with pytest.raises(ModelError) as refusal:
        verify_graph(graph)
    assert str(refusal.value) == f"node 'rnn' (LSTM): {text}"


# -- what evaluation is given -------------------------------------------------------------------


def evaluate(**changes: object) -> dict[str, np.ndarray]:
    inputs = {"x": np.ones((1, 3)), "token": np.array([4]), **changes}
    return evaluate_floats(sound(), inputs, initial_states(sound()))[0]  # type: ignore[arg-type]


def test_evaluation_of_the_sound_graph() -> None:
    values = evaluate()
    assert set(values) == {"x", "token", "old", "p", "new", "e"}
    np.testing.assert_array_equal(values["e"], [[8.0, 9.0]])
    frames = {"x": np.ones((3, 1, 3)), "token": np.zeros((3, 1), dtype=np.int32)}
    assert [float(v["new"][0, 0]) for v in run_floats(sound(), frames)] == [3.0, 6.0, 9.0]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"x": np.ones(3)}, "input 'x' must have shape (1, 3), not (3)"),
        ({"x": np.full((1, 3), np.inf)}, "input 'x' must be finite, not NaN or infinite"),
        ({"x": np.full((1, 3), 1e300)}, "input 'x' must be finite, not NaN or infinite"),
        ({"token": np.array([1.0])}, "input 'token' must be integer, not float64"),
        (
            {"token": np.array([5])},
            "node 'rows' (Embed): index must be from 0 to 4, not 5..5",
        ),
        (
            {"token": np.array([-1])},
            "node 'rows' (Embed): index must be from 0 to 4, not -1..-1",
        ),
        (
            {"x": np.full((1, 3), 3e38)},
            "node 'fc' (MatMul): output 'p' must be finite, not NaN or infinite",
        ),
    ],
)
def test_evaluation_refuses(changes: dict[str, np.ndarray], text: str) -> None:
    with pytest.raises(ModelError) as refusal:
        evaluate(**changes)
    assert str(refusal.value) == text


def test_evaluation_needs_every_input_and_equal_steps() -> None:
    with pytest.raises(ModelError, match=r"^input 'token' must be given$"):
        evaluate_floats(sound(), {"x": np.ones((1, 3))}, initial_states(sound()))
    frames = {"x": np.ones((3, 1, 3)), "token": np.zeros((2, 1), dtype=np.int64)}
    text = r"^each of 2 inputs must be given for the same number of steps, not 'x': 3, 'token': 2$"
    with pytest.raises(ModelError, match=text):
        list(run_floats(sound(), frames))


def test_names_and_shapes_in_messages() -> None:
    assert quoted("a\nb") == "'a?b'"
    assert len(quoted("x" * 1000)) == 82
    assert shape_text(range(9)) == "(0, 1, 2, 3, 4, 5, 6, 7, ...)"
    assert element_count((2**40, 2**40)) == 2**80
    assert broadcast((4, 1), (3,)) == (4, 3)
