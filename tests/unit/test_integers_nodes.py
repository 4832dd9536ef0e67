"""Each node of the integer graph, worked by hand, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest

from azsim.errors import ModelError, SimulationError
from azsim.graph.integer import (
    Elementwise,
    EmbedRows,
    IntegerGraph,
    IntegerKind,
    IntegerNode,
    IntegerTensor,
    Linear,
    LookUp,
    LstmCell,
    Move,
    Piece,
    Requant,
    SoftmaxRows,
    View,
)
from azsim.graph.types import StatePair
from azsim.reference.integers import evaluate_integers, initial_states, run_integers

pytestmark = pytest.mark.small

ONE = 2**30  # with shift 30: a factor of 1


def tensor(name: str, shape: tuple[int, ...], element: str = "int8", **fields) -> IntegerTensor:
    return IntegerTensor(name, shape, element, 1.0, **fields)


def given(name: str, shape: tuple[int, ...], element: str = "int8", **fields) -> IntegerTensor:
    return tensor(name, shape, element, kind=IntegerKind.INPUT, **fields)


def graph(*parts: IntegerNode | IntegerTensor, states: tuple[StatePair, ...] = ()) -> IntegerGraph:
    tensors = {part.name: part for part in parts if isinstance(part, IntegerTensor)}
    return IntegerGraph(
        "test",
        tuple(part for part in parts if not isinstance(part, IntegerTensor)),
        tensors,
        tuple(t.name for t in tensors.values() if t.kind is IntegerKind.INPUT),
        (),
        states,
    )


def linear(**fields) -> Linear:
    """Two rows, [1, -2, 3] and [0, 4, -128], factors 1 and 1/2."""
    parameters = {
        "multiplier": np.array([ONE, ONE], np.int32),
        "shift": np.array([30, 31], np.int8),
        "bias": np.array([7, 1], np.int32),
    }
    weights = np.array([[1, -2, 3], [0, 4, -128]], np.int8)
    return Linear("fc", "x", "y", weights, 8, **parameters, **fields)


X = np.array([[10, -1, 5], [-128, 127, 0]])  # sums: 27, -644; -382, 508


def test_linear_with_the_bias_in_the_sum():
    net = graph(given("x", (2, 3)), tensor("y", (2, 2), "int16", zero_point=-5), linear())
    y = evaluate_integers(net, {"x": X})["y"]
    assert y.dtype == np.int16
    # 34 - 5; -643 / 2 = -321.5 -> -322 - 5; -375 - 5; 509 / 2 = 254.5 -> 255 - 5
    assert y.tolist() == [[29, -327], [-380, 250]]


def test_linear_with_bias_after_addend_and_relu():
    net = graph(
        given("x", (2, 3)),
        given("more", (2, 2), "int32"),
        tensor("y", (2, 2), zero_point=3),
        linear(bias_after=True, addend="more", relu=True),
    )
    more = np.array([[100000, 600], [390, -1000000]])
    y = evaluate_integers(net, {"x": X, "more": more})["y"]
    # 27 + 7 + 100000 saturates; -322 + 1 + 600 saturates; -382 + 7 + 390 + 3; below zero
    assert y.tolist() == [[127, 127], [18, 3]]


def test_linear_keeps_leading_dimensions():
    net = graph(given("x", (2, 1, 3)), tensor("y", (2, 1, 2), "int16"), linear())
    assert evaluate_integers(net, {"x": X.reshape(2, 1, 3)})["y"].shape == (2, 1, 2)


def test_a_sum_beyond_int32_is_our_error():
    wide = Linear(
        "fc", "x", "y", np.full((1, 2**17), -128, np.int8), 8,
        np.array([ONE], np.int32), np.array([62], np.int8), np.array([0], np.int32),
    )  # fmt: skip
    net = graph(given("x", (1, 2**17)), tensor("y", (1, 1)), wide)
    message = r"^node 'fc': product sum must fit int32, not be 2147483648 in magnitude$"
    with pytest.raises(SimulationError, match=message):
        evaluate_integers(net, {"x": np.full((1, 2**17), -128)})


def test_requant_and_relu():
    tensors = (given("x", (4,), zero_point=2), tensor("y", (4,), zero_point=-3))
    x = {"x": np.array([-128, 2, 5, 127])}  # times 0.75: -97.5 -> -98, 0, 2.25, 93.75
    plain = graph(*tensors, Requant("q", "x", "y", 1610612736, 31))
    assert evaluate_integers(plain, x)["y"].tolist() == [-101, -3, -1, 91]
    relu = graph(*tensors, Requant("q", "x", "y", 1610612736, 31, relu=True))
    assert evaluate_integers(relu, x)["y"].tolist() == [-3, -3, -1, 91]


def test_add_repeats_a_suffix():
    net = graph(
        given("a", (2, 2)),
        tensor("b", (2,), data=np.array([1, 2], np.int8), kind=IntegerKind.CONSTANT),
        tensor("y", (2, 2), zero_point=1),
        Elementwise("sum", "Add", "a", "b", "y", 3, -2, 1),
    )
    # (30 - 2)/2, (-60 - 4)/2, (93 - 2)/2 = 45.5 -> 46, (0 - 4)/2; plus 1
    values = evaluate_integers(net, {"a": np.array([[10, -20], [31, 0]])})
    assert values["y"].tolist() == [[15, -31], [47, -1]]
    assert values["b"].tolist() == [1, 2]


def test_mul():
    net = graph(
        given("a", (2,), zero_point=-1),
        given("b", (2,), "int16"),
        tensor("y", (2,)),
        Elementwise("product", "Mul", "a", "b", "y", ONE, 0, 37),
    )
    y = evaluate_integers(net, {"a": np.array([99, -101]), "b": np.array([51, 51])})["y"]
    assert y.tolist() == [40, -40]  # 5100 / 128 = 39.8


@pytest.mark.parametrize(("table", "want"), [("sigmoid", [59, -59, 0]), ("tanh", [67, -128, -128])])
def test_look_up(table, want):
    net = graph(
        given("x", (3,)),
        tensor("y", (3,), zero_point=-128),
        LookUp("f", table, "x", "y", ONE, 23, ONE, 37),
    )
    # sigmoid(1), (-1), (0) and tanh(1) = 0.76159 -> 24956 / 128 = 195; below -128 saturates
    assert evaluate_integers(net, {"x": np.array([32, -32, 0])})["y"].tolist() == want


def test_softmax_works_on_the_last_axis():
    net = graph(
        given("x", (2, 1, 3), zero_point=9),
        tensor("y", (2, 1, 3), zero_point=-128),
        SoftmaxRows("p", "x", "y", ONE, 24, ONE, 37),
    )
    x = np.array([[[10, 10, 2]], [[-128, -128, -128]]])
    y = evaluate_integers(net, {"x": x})["y"]
    assert y.tolist() == [[[-30, -30, -68]], [[-43, -43, -43]]]  # a third: 10923 / 128 = 85.3


CELL = LstmCell("cell", "gates", "c", "c_next", "h", 12, ONE, 53)


def cell_graph() -> IntegerGraph:
    return graph(
        given("gates", (2, 4), "int16"),
        tensor("c", (2, 1), "int16", kind=IntegerKind.STATE),
        tensor("c_next", (2, 1), "int16"),
        tensor("h", (2, 1), zero_point=5),
        CELL,
        states=(StatePair("c", "c_next"),),
    )


def test_cell_of_the_page_for_each_batch_row():
    gates = np.array([[0, 4096, 0, 64], [0, 4096, 0, 64]])
    values = evaluate_integers(cell_graph(), {"gates": gates, "c": np.array([[1000], [0]])})
    assert values["c_next"].tolist() == [[532], [32]]
    # 23955 x 4232 / 2**23 = 12.09; tanh(32) = 256, 23955 x 256 / 2**23 = 0.73; plus 5
    assert values["h"].tolist() == [[17], [6]]


def test_states_start_at_zero_and_are_carried():
    gates = np.array([[0, 4096, 0, 64], [0, 0, 0, 0]])
    steps = list(run_integers(cell_graph(), [{"gates": gates}] * 3))
    # c' = c / 2 + 32 in the first row: 32, 48, 56
    assert [values["c_next"][:, 0].tolist() for values in steps] == [[32, 0], [48, 0], [56, 0]]


def test_states_start_at_their_zero_point():
    state = tensor("s", (2,), zero_point=-7, kind=IntegerKind.STATE)
    net = graph(state, tensor("t", (2,)), View("v", "s", "t"), states=(StatePair("s", "t"),))
    assert initial_states(net)["s"].tolist() == [-7, -7]
    assert evaluate_integers(net, {})["t"].tolist() == [-7, -7]
    assert evaluate_integers(net, {"s": np.array([1, 2])})["t"].tolist() == [1, 2]


def test_move_concatenates_and_transposes():
    pieces = (
        Piece(0, (3, 2), 0, (1, 3), 0, (2, 1)),  # a (2, 3) transposed to rows 0..2
        Piece(1, (2,), 4, (-4,), 6, (1,)),  # b[4], b[0]
    )
    net = graph(
        given("a", (2, 3)),
        given("b", (5,)),
        tensor("y", (4, 2)),
        Move("m", ("a", "b"), "y", pieces),
    )
    y = evaluate_integers(net, {"a": np.array([[1, 2, 3], [4, 5, 6]]), "b": np.arange(10, 15)})["y"]
    assert y.tolist() == [[1, 4], [2, 5], [3, 6], [14, 10]]


def test_move_must_cover_its_output():
    move = Move("m", ("a",), "y", (Piece(0, (2,), 0, (1,), 0, (2,)),))
    net = graph(given("a", (2,)), tensor("y", (4,)), move)
    message = r"^node 'm': pieces must cover the output, not leave 2 of 4 elements open$"
    with pytest.raises(SimulationError, match=message):
        evaluate_integers(net, {"a": np.array([1, 2])})


def test_view_takes_a_contiguous_part():
    net = graph(given("x", (2, 3)), tensor("y", (2, 2)), View("v", "x", "y", offset=1))
    y = evaluate_integers(net, {"x": np.arange(6).reshape(2, 3)})["y"]
    assert y.tolist() == [[1, 2], [3, 4]]


TABLE = np.array([[1, 2], [3, 4], [5, 6]], np.int8)
EMBED = graph(given("i", (2, 1), "int32"), tensor("y", (2, 1, 2)), EmbedRows("e", TABLE, "i", "y"))


def test_embedding():
    y = evaluate_integers(EMBED, {"i": np.array([[2], [0]])})["y"]
    assert y.tolist() == [[[5, 6]], [[1, 2]]]


@pytest.mark.parametrize("index", [-1, 3])
def test_an_index_outside_the_table_is_refused(index):
    message = rf"^node 'e': index must be in 0\.\.2, not {index}$"
    with pytest.raises(ModelError, match=message):
        evaluate_integers(EMBED, {"i": np.array([[0], [index]])})


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "input 'x': must be present"),
        ({"x": np.zeros(4, np.int8)}, "input 'x': shape must be (2, 3), not (4,)"),
        ({"x": np.zeros((2, 3))}, "input 'x': elements must be integers, not float64"),
        ({"x": np.full((2, 3), 128)}, "input 'x': elements must fit int8, not be 128"),
        ({"x": np.full((2, 3), -129)}, "input 'x': elements must fit int8, not be -129"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs, message):
    net = graph(given("x", (2, 3)), tensor("y", (2, 2)), linear())
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        evaluate_integers(net, inputs)
