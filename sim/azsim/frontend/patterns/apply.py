"""All patterns in the order in which they are looked for."""

from __future__ import annotations

from azsim.frontend.patterns.editor import GraphEditor
from azsim.frontend.patterns.folding import (
    expand_quotients,
    fold_factors,
    fold_offsets,
    fold_scales,
)
from azsim.frontend.patterns.formulas import fuse_formulas
from azsim.frontend.patterns.log_sum_exp import shift_log_sums
from azsim.frontend.patterns.norms import fuse_norms
from azsim.frontend.patterns.padding import fold_pads
from azsim.graph import Graph


def apply_patterns(graph: Graph) -> Graph:
    """Return the graph with norms, formulas and foldable factors found; its outputs and states
    keep their names. A graph that has none of them comes back as it is."""
    editor = GraphEditor(graph)
    fuse_norms(editor)
    fold_scales(editor)
    shift_log_sums(editor)
    fuse_formulas(editor)
    expand_quotients(editor)
    fold_factors(editor)
    fold_offsets(editor)
    fold_pads(editor)
    found = editor.result()
    return graph if found.nodes == graph.nodes else found
