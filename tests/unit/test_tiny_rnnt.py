"""The trained net: its data's split, its weights in the zoo, and that it recognizes speech."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from command import REPOSITORY
from zoo_checks import grid_counts, matrices, plan_of

from azsim.frontend import read_onnx
from azsim.frontend.audio import log_mel, read_wav
from azsim.zoo import build_zoo, save_onnx
from azsim.zoo.trained import TrainedWeights, on_grid, read_weights, trained_weights
from tiny_rnnt import grammar, voices
from tiny_rnnt.errors import edits, spread, word_error_rate
from tiny_rnnt.recognize import calibrated, read_parts, recognize, steps_of

UTTERANCES = Path(__file__).parent / "tiny_rnnt_utterances.npz"
SHIPPED = [(8, 0.0), (5, 0.5)]
NOT_SHIPPED = [(4, 0.0), (8, 0.75), (2, 0.95)]


# -- data ---------------------------------------------------------------------------------------


def test_there_are_as_many_words_as_the_net_has_symbols() -> None:
    assert len(grammar.WORDS) == 128
    assert grammar.SYMBOLS == 129
    sentence = "set a timer for ten minutes"
    assert grammar.text_of(grammar.symbols_of(sentence)) == sentence
    assert min(grammar.symbols_of(sentence)) > grammar.BLANK


def test_a_seed_gives_its_sentences_and_no_sentence_is_in_two_splits() -> None:
    drawn = {}
    for split in ("train", "dev", "test"):
        first, again = (grammar.sentences(split, np.random.default_rng(7)) for _ in range(2))
        drawn[split] = [next(first) for _ in range(150)]
        assert drawn[split] == [next(again) for _ in range(150)]
    assert not set(drawn["train"]) & set(drawn["dev"])
    assert not set(drawn["train"]) & set(drawn["test"])
    assert not set(drawn["dev"]) & set(drawn["test"])
    assert all("{" not in sentence for part in drawn.values() for sentence in part)


def test_no_voice_of_the_tests_is_in_the_training() -> None:
    rng = np.random.default_rng(1)
    seen, unseen = (
        {voices.draw_voice(rng, known, 0.3).name for _ in range(800)} for known in (True, False)
    )
    variants = [{name.partition("+")[2] or name for name in names} for names in (seen, unseen)]
    assert not variants[0] & variants[1]
    assert variants[1] == {*voices.UNSEEN_VARIANTS, *voices.UNSEEN_FLITE}


def test_word_errors_are_counted_as_fewest_edits() -> None:
    assert edits([1, 2, 3], [1, 2, 3]) == 0
    assert edits([], [1, 2]) == 2
    assert edits([1, 9, 3, 4], [1, 2, 3]) == 2  # one substituted, one inserted
    assert edits([2, 3], [1, 2, 3]) == 1
    said, meant = [[1, 2], [5]], [[1, 2, 3], [4]]
    assert word_error_rate(said, meant) == 2 / 4
    low, high = spread(said, meant)
    assert (low, high) == (1 / 3, 1.0)  # twice the one utterance, twice the other
    assert spread(meant, meant) == (0.0, 0.0)


# -- weights ------------------------------------------------------------------------------------


def test_cut_weights_have_the_zeros_and_lie_on_the_grid_where_they_stay() -> None:
    weights = np.random.default_rng(2).normal(size=(20, 30)).astype(np.float32)
    cut = on_grid(weights, 5, 0.4)
    assert np.count_nonzero(cut == 0) >= 240
    counts = grid_counts(cut, 5)
    assert np.abs(counts).max(axis=1).tolist() == [15] * 20
    large = np.abs(weights) > np.sort(np.abs(weights), axis=None)[240]
    steps = np.abs(cut).max(axis=1, keepdims=True) / 15
    assert (np.abs(cut - weights) <= 0.5001 * steps)[large].all()
    assert np.array_equal(grid_counts(on_grid(cut, 5, 0.4), 5), counts)
    assert np.array_equal(on_grid(np.zeros((2, 3), np.float32), 8, 0.5), np.zeros((2, 3)))


@pytest.mark.parametrize(("bits", "sparsity"), SHIPPED + NOT_SHIPPED)
def test_zoo_builds_the_trained_net_at_any_compression(
    tmp_path: Path, bits: int, sparsity: float
) -> None:
    for part in ("encoder", "prediction", "joint"):
        model = build_zoo("tiny_rnnt", part, bits, sparsity, 1)
        assert model.SerializeToString() != build_zoo("tiny_rnnt", part, 6, 0.1, 1)
        props = {p.key: p.value for p in model.metadata_props}
        assert json.loads(props["azsim.compression"])["bits"] == bits
        onnx.checker.check_model(model, full_check=True)
        save_onnx(model, tmp_path / "net.onnx")
        graph = read_onnx(tmp_path / "net.onnx")
        plan = plan_of(graph)
        for name, weights in matrices(graph).items():
            for rows in weights:
                used = rows[np.abs(rows).max(axis=1) > 0]
                counts = grid_counts(used, plan.bits_of(name))
                zeros = rows.size - np.count_nonzero(counts)
                assert zeros >= round(sparsity * rows.size), name
                assert np.count_nonzero(counts), name
        words = f"trained with {bits} bits and {sparsity:.0%} zeros."
        assert (words in model.doc_string) == ((bits, sparsity) in SHIPPED)
        assert "random" not in model.doc_string
        assert json.loads(props["azsim.symbols"]) == ["", *grammar.WORDS]


def test_trained_weights_do_not_depend_on_the_seed() -> None:
    first, second = (build_zoo("tiny_rnnt", "joint", 5, 0.5, seed) for seed in (1, 2))
    assert list(first.graph.initializer) == list(second.graph.initializer)
    assert list(first.graph.node) == list(second.graph.node)


def test_weight_files_hold_integers_times_scales(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "net.npz",
        **{
            "a.W.integers": np.array([[1, -3], [2, 0]], np.int8),
            "a.W.scales": np.array([0.5, 2.0], np.float32),
            "a.b": np.array([7.0], np.float32),
        },
    )
    weights = read_weights(tmp_path / "net.npz")
    assert sorted(weights) == ["a.W", "a.b"]
    assert weights["a.W"].tolist() == [[0.5, -1.5], [4.0, 0.0]]


# -- recognition --------------------------------------------------------------------------------


@cache
def spoken() -> list[tuple[str, np.ndarray]]:
    """Return (words, features) of a few test utterances of voices unknown to the training."""
    with np.load(UTTERANCES) as stored:
        ends = stored["frame_ends"][:-1]
        features = np.split(stored["features"].astype(np.float32), ends)
        return list(zip(stored["words"].tolist(), features, strict=True))


@pytest.mark.parametrize(("bits", "sparsity"), SHIPPED)
def test_speech_becomes_words_through_integers(bits: int, sparsity: float) -> None:
    weights = trained_weights("tiny_rnnt", bits, sparsity)
    examples = [features for _, features in spoken()]
    parts = calibrated(read_parts(weights, bits, sparsity), examples)
    for words, features in spoken():
        assert grammar.text_of(recognize(parts, features)) == words


def test_the_recording_of_the_demo_is_understood() -> None:
    samples = read_wav(REPOSITORY / "examples" / "speech_command" / "set_timer.wav")
    features = log_mel(samples)
    weights = trained_weights("tiny_rnnt", 5, 0.5)
    parts = calibrated(read_parts(weights, 5, 0.5), [features])
    assert grammar.text_of(recognize(parts, features)) == "set a timer for ten minutes"
    assert len(steps_of(features)) > 20


def test_noise_instead_of_weights_is_not_understood() -> None:
    """The tests above would fail on a net that was not trained."""
    weights = trained_weights("tiny_rnnt", 8, 0.0)
    rng = np.random.default_rng(3)
    shuffled = {name: rng.permutation(array.ravel()).reshape(array.shape)
                for name, array in weights.weights.items()}  # fmt: skip
    words, features = spoken()[0]
    parts = calibrated(read_parts(TrainedWeights(shuffled, True, ""), 8, 0.0), [features])
    assert grammar.text_of(recognize(parts, features)) != words
