"""log(sum(exp(x))) is the largest x and the log of what the others add to it.

As it is written its powers span more than any 8 bits hold; relative to the largest they are 0 to 1,
and their sum 1 to the number of entries.
"""

from __future__ import annotations

from azsim.frontend.patterns.editor import GraphEditor
from azsim.graph import Node

EXP, LOG = ("x", "Exp"), ("x", "Log")


def shift_log_sums(editor: GraphEditor) -> None:
    """Rewrite Log(Sum(Exp(x))), with or without the summed axes in the result."""
    for node in editor.nodes():
        if node.operator == "Function" and node.attributes["formula"] == LOG:
            _shift(editor, node)


def _only_maker(editor: GraphEditor, name: str, operator: str) -> Node | None:
    return editor.maker(name, operator) if editor.only_reader(name) is not None else None


def _shift(editor: GraphEditor, node: Node) -> None:
    name = node.inputs[0]
    dropped = _only_maker(editor, name, "Reshape")
    name = dropped.inputs[0] if dropped is not None else name
    total = _only_maker(editor, name, "Reduce")
    if total is None or total.attributes["kind"] != "sum":
        return
    powers = _only_maker(editor, total.inputs[0], "Function")
    if powers is None or powers.attributes["formula"] != EXP:
        return
    x, label, axes = powers.inputs[0], node.name, total.attributes["axes"]
    kept, whole = editor.values[name].shape, editor.values[x].shape
    names = [
        editor.computed(f"{label}.{part}", shape)
        for part, shape in (
            ("max", kept), ("less", whole), ("exp", whole), ("sum", kept), ("log", kept),
            ("kept", kept),
        )
    ]  # fmt: skip
    largest, less, power, added, log, result = names
    steps = (
        Node(f"{label}.max", "Reduce", (x,), (largest,), {"kind": "max", "axes": axes}),
        Node(f"{label}.less", "Sub", (x, largest), (less,)),
        Node(f"{label}.exp", "Function", (less,), (power,), {"formula": EXP}),
        Node(f"{label}.sum", "Reduce", (power,), (added,), {"kind": "sum", "axes": axes}),
        Node(f"{label}.log", "Function", (added,), (log,), {"formula": LOG}),
    )
    if dropped is None:
        editor.replace_node(node, "Add", (log, largest), before=steps)
        return
    back = Node(f"{label}.kept", "Add", (log, largest), (result,))
    editor.replace_node(node, "Reshape", (result,), before=(*steps, back))
