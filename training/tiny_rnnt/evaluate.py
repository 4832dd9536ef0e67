"""Word errors, bytes, cycles and energy of each setting: python -m tiny_rnnt.evaluate --data DATA
--weights FOLDER --out RESULTS.json [--chip az1] [ROW...].

Every utterance is recognized with the integers of the chip. A setting is FOLDER/NAME.npz of
`finetune`; the same bits and zeros forced on the float model without more training are measured
beside it. What RESULTS.json holds already is left out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from azsim import load_chip, run
from azsim.config import ChipConfig
from azsim.frontend import Inputs
from azsim.graph import Graph
from azsim.report.summary import build_summary
from azsim.zoo.trained import TrainedWeights, read_weights
from tiny_rnnt.data_files import Utterances, read_utterances
from tiny_rnnt.errors import spread, word_error_rate
from tiny_rnnt.recognize import (
    Part,
    calibrated,
    float_parts,
    read_parts,
    recognize,
    steps_of,
)
from tiny_rnnt.settings import FLOAT, SETTINGS, Setting

Array = npt.NDArray[Any]
TESTS = ("test_unseen", "test_seen", "test_flite")
EXAMPLES = 16  # utterances of the training that set the activation scales
TIMED_STEPS = 120


@dataclass(frozen=True)
class Errors:
    """Word error rate over `utterances`, and between which two it lies with 95 %."""

    wer: float
    low: float
    high: float
    utterances: int
    words: int


def word_errors(parts: Mapping[str, Part], data: Utterances, title: str) -> Errors:
    """Recognize all utterances."""
    said = [recognize(parts, one) for one in tqdm(data.features, desc=title, mininterval=5)]
    low, high = spread(said, data.symbols)
    words = sum(map(len, data.symbols))
    return Errors(word_error_rate(said, data.symbols), low, high, len(data), words)


def costs(graphs: Mapping[str, Graph], data: Utterances, chip: ChipConfig) -> dict[str, Any]:
    """Return what a step of each part takes on `chip`, over real features and symbols."""
    frames = np.concatenate([steps_of(one) for one in data.features])[:TIMED_STEPS]
    tokens = np.array([word for words in data.symbols for word in words])[:TIMED_STEPS]
    encoded = _outputs(graphs["encoder"], {"features": frames}, "encoded")
    tokens_in = tokens.reshape(-1, 1, 1)
    predicted = _outputs(graphs["prediction"], {"token": tokens_in}, "predicted")
    both = {"encoded": encoded, "predicted": np.resize(predicted, (len(encoded), 1, 1, 128))}
    inputs = {"encoder": {"features": frames}, "prediction": {"token": tokens_in}, "joint": both}
    return {part: _cost(graphs[part], inputs[part], chip) for part in graphs}


def _outputs(graph: Graph, frames: Mapping[str, Array], name: str) -> Array:
    from azsim.reference.floats import run_floats

    return np.array([values[name] for values in run_floats(graph, frames)], dtype=np.float32)


def _cost(graph: Graph, frames: Mapping[str, Array], chip: ChipConfig) -> dict[str, Any]:
    record = run(graph, input=Inputs(dict(frames), "speech"), chip=chip, verify=True, cache=False)
    assert record.verification is not None
    if record.verification.exact != record.frames:
        raise ValueError(f"{graph.name}: the chip must equal the integer reference")
    summary = build_summary(record)
    return {
        "cycles_per_step": summary["cycles_per_frame"],
        "real_time_factor": summary["real_time_factor"],
        "pj_per_step": summary["energy"]["per_frame_pj"]["nominal"],
        "stream_bytes": summary["stream_bytes"],
        "zeros_share": summary["zeros_share"],
        "steps": record.frames,
    }


def evaluate(
    weights: TrainedWeights, setting: Setting, data: Mapping[str, Utterances],
    chip: ChipConfig, title: str, timed: bool,
) -> dict[str, Any]:  # fmt: skip
    """Return the row of one setting; floats have no cycles."""
    graphs = read_parts(weights, setting.bits or 8, setting.sparsity)
    parts: Mapping[str, Part] = (
        float_parts(graphs) if setting.bits is None else calibrated(graphs, data["train"].features)
    )
    row = {
        test: asdict(word_errors(parts, data[test], f"{title} {test}"))
        for test in TESTS
        if test in data
    }
    return row | ({"costs": costs(graphs, data["test_unseen"], chip)} if timed else {})


def write(results: Mapping[str, Any], path: Path) -> None:
    """Write the results whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    part.rename(path)


def rows(folder: Path) -> Iterator[tuple[str, Setting, TrainedWeights, bool]]:
    """Yield name, setting, weights, and whether its costs are wanted, for each row of the tables:
    the floats, each setting that was trained, and each cut from the floats."""
    floats = read_weights(folder / f"{FLOAT.name}.npz")
    yield FLOAT.name, FLOAT, TrainedWeights(floats, False, ""), False
    for setting in SETTINGS:
        path = folder / f"{setting.name}.npz"
        if path.exists():
            yield setting.name, setting, TrainedWeights(read_weights(path), False, ""), True
    for setting in SETTINGS:
        yield f"{setting.name} untuned", setting, TrainedWeights(floats, True, ""), False


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="names of rows; default: all")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--chip", default="az1")
    parser.add_argument("--utterances", type=int, help="of each test; default: all")
    wishes = parser.parse_args()
    data = {name: read_utterances(wishes.data / f"{name}.npz", wishes.utterances) for name in TESTS}
    data["train"] = read_utterances(wishes.data / "train.npz", EXAMPLES)
    only_unseen = {name: data[name] for name in ("train", "test_unseen")}
    results: dict[str, Any] = json.loads(wishes.out.read_text()) if wishes.out.exists() else {}
    chip = load_chip(wishes.chip)
    for name, setting, weights, timed in rows(wishes.weights):
        if name not in results and (not wishes.rows or name in wishes.rows):
            tests = data if timed or setting is FLOAT else only_unseen
            results[name] = evaluate(weights, setting, tests, chip, name, timed)
            write(results, wishes.out)


if __name__ == "__main__":
    main()
