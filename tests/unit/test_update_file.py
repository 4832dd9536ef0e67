"""Update files of `azsim diff`: their size, what they make of the old model, and damaged ones."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from command import azsim, tree
from compress_models import dense_net, frames_file, mixed_net, recurrent_net
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_compress_layers import table_net

from azsim.compress import apply_update, diff_models, save_update
from azsim.compress.pieces import Key, Kind, put_together
from azsim.compress.update import HEADER_BYTES, RECORD_BYTES, compile_pieces, unwatched
from azsim.compress.update_file import update_content
from azsim.config import load_chip
from azsim.errors import AzsimError, ModelError
from azsim.frontend import read_onnx
from azsim.preparing import compile_program
from azsim.run_setting import PlanWishes

NETS = {
    "dense": (dense_net, (1, 32)),
    "mixed": (mixed_net, (1, 2, 8, 8)),
    "recurrent": (recurrent_net, (5, 1, 24)),
}


def two_models(folder: Path, net: str) -> tuple[Path, Path, Path]:
    """A model of 8 bits, one of 4 bits with zeros, frames."""
    if net == "table":
        model, frames = table_net(folder)
    else:
        make, shape = NETS[net]
        model, frames = make(folder), frames_file(folder, shape, 2)
    made = []
    for name, words in (("old", ("--bits", 8)), ("new", ("--bits", 4, "--sparsity", 0.4))):
        made.append(folder / f"{name}.onnx")
        done = azsim("compress-model", model, "-o", made[-1], "-i", frames, *words)
        assert (done.code, done.err) == (0, "")
    return made[0], made[1], frames


@pytest.mark.parametrize("net", [*NETS, "table"])
@pytest.mark.parametrize("profile", ["none", "bitmap", "ans"])
def test_an_update_makes_the_new_image(tmp_path: Path, net: str, profile: str) -> None:
    old, new, frames = two_models(tmp_path, net)
    update, images = tmp_path / "update.bin", tmp_path / "images.npz"
    chip = ("--set", f"decoder.profile={profile}", "--set", "weight_store.capacity_kb=1")
    done = azsim("diff", old, new, "-o", update, *chip, "--json", "-i", frames)
    assert (done.code, done.err) == (0, "")
    assert update.stat().st_size == json.loads(done.out)["update_bytes"]
    done = azsim("diff", "--apply", update, old, "-o", images, *chip, "-i", frames)
    assert (done.code, done.err) == (0, "")
    config = load_chip("az1", chip[1::2])
    program = compile_program(read_onnx(new), config, frames, PlanWishes(), lambda *_: None)
    with np.load(images) as made:
        assert sorted(made) == ["commands", "dram", "store"]
        np.testing.assert_array_equal(made["dram"], program.dram)
        np.testing.assert_array_equal(made["store"], program.store)
        assert len(made["commands"]) == len(program.commands)
        assert (made["commands"] == program.commands).all()
    assert program.dram.size > 0


def test_the_bytes_of_an_update_are_as_documented(tmp_path: Path) -> None:
    old, new, frames = two_models(tmp_path, "dense")
    chip = load_chip("az1")
    update = diff_models(old, new, chip, frames)
    content = update_content(update, chip)
    magic, version, count, payload, _, _, key = struct.unpack_from("<8sIIQII16s", content)
    assert (magic, version, key) == (b"AZSIMUPD", 1, chip.config_hash().encode())
    assert len(content) == HEADER_BYTES + count * RECORD_BYTES + payload == update.update_bytes
    rest = content[:60] + content[64:]
    assert struct.unpack_from("<I", content, 60) == (zlib.crc32(rest),)
    at = HEADER_BYTES + count * RECORD_BYTES
    for number, (piece_key, piece) in enumerate(update.changes.items()):
        kind, matrix, index, size, check = struct.unpack_from("<BxHIII", content, 64 + 16 * number)
        assert Key(Kind(kind), matrix, index) == piece_key
        assert content[at : at + size] == piece
        assert zlib.crc32(piece) == check
        at += size


def test_a_piece_that_is_no_more_has_no_bytes(tmp_path: Path) -> None:
    """With 8 bits a matrix needs no table of profile ans any more, which it had with 4."""
    old, new, frames = two_models(tmp_path, "mixed")
    chip = load_chip("az1", ["decoder.profile=ans"])
    update = diff_models(new, old, chip, frames)
    gone = [key for key, piece in update.changes.items() if not piece]
    assert [key.kind for key in gone] == [Kind.TABLE]
    path = tmp_path / "back.bin"
    save_update(update, chip, path)
    assert path.stat().st_size == update.update_bytes
    made = apply_update(new, path, chip, frames)
    program = update.programs[1]
    np.testing.assert_array_equal(made.dram, program.dram)
    assert made.commands.tobytes() == program.commands.tobytes()


def test_nothing_is_written_where_nothing_changes(tmp_path: Path) -> None:
    net = dense_net(tmp_path)
    done = azsim("diff", net, net, "-o", tmp_path / "u.bin")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == "nothing changes: no update is written"
    assert not (tmp_path / "u.bin").exists()


# -- damage ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Old model, frames, update."""
    folder = tmp_path_factory.mktemp("update")
    old, new, frames = two_models(folder, "dense")
    update = folder / "update.bin"
    assert azsim("diff", old, new, "-o", update, "-i", frames).code == 0
    return old, frames, update


def refusal(folder: Path, content: bytes, made: tuple[Path, Path, Path], *words: object) -> str:
    """What --apply says to other bytes, without the update's name in front."""
    path = folder / "other.bin"
    path.write_bytes(content)
    before = tree(folder)
    done = azsim("diff", "--apply", path, made[0], "-i", made[1], "-o", folder / "i.npz", *words)
    assert (done.code, done.out) == (2, "")
    assert tree(folder) == before
    assert done.err.startswith(f"azsim: {path}: ")
    assert len(done.err.splitlines()) == 1
    return done.err.removeprefix(f"azsim: {path}: ").rstrip("\n")


def signed(content: bytes) -> bytes:
    """The bytes with the check sum that they must have."""
    check = zlib.crc32(content[64:], zlib.crc32(content[:60]))
    return content[:60] + struct.pack("<I", check) + content[64:]


def test_damaged_updates_are_refused(tmp_path: Path, made: tuple[Path, Path, Path]) -> None:
    content = made[2].read_bytes()
    flipped = content[:100] + bytes([content[100] ^ 1]) + content[101:]
    versed = content[:8] + struct.pack("<I", 2) + content[12:]
    beside = content[:16] + struct.pack("<Q", 2**62) + content[24:]
    based = signed(content[:24] + bytes(4) + content[28:])
    aimed = signed(content[:28] + bytes(4) + content[32:])
    piece = signed(content[:-1] + bytes([content[-1] ^ 1]))
    cases = {
        b"": "must be an update file of azsim diff",
        b"PK\x03\x04" + content: "must be an update file of azsim diff",
        content[:-1]: "must have the bytes its header states; it is cut short or damaged",
        beside: "must have the bytes its header states; it is cut short or damaged",
        flipped: "check sum must be that of its bytes; it is damaged",
        versed: "update format must be 1, not 2",
        based: f"must be made for the old model {made[0]} and the same calibration",
        aimed: "must make the new model; its check sum differs",
        piece: f"record {struct.unpack_from('<I', content, 12)[0] - 1} must be of a sound piece",
    }
    for other, text in cases.items():
        assert refusal(tmp_path, other, made) == text
    said = refusal(tmp_path, content, made, "--set", "wbuf.slot_weights=1024")
    assert said == "must be made for this chip, 'az1' as it is set"


def test_other_words_are_refused(tmp_path: Path, made: tuple[Path, Path, Path]) -> None:
    done = azsim("diff", made[0])
    assert (done.code, done.err) == (
        2, "azsim: NEW: must be given, or --apply UPDATE in its place\n",
    )  # fmt: skip
    done = azsim("diff", made[0], made[0], "--apply", made[2])
    assert done.code == 2
    done = azsim("diff", made[0], "--apply", tmp_path / "none.bin")
    assert (done.code, done.err) == (
        2, f"azsim: {tmp_path / 'none.bin'}: cannot be read: No such file or directory\n",
    )  # fmt: skip
    done = azsim("diff", made[0], "--apply", tmp_path)
    assert (done.code, done.err) == (2, f"azsim: {tmp_path}: must be a plain file\n")


def test_another_base_is_refused(tmp_path: Path, made: tuple[Path, Path, Path]) -> None:
    other = dense_net(tmp_path, seed=5)
    with pytest.raises(ModelError, match=r"^.*update\.bin: must be made for the old model .*net"):
        apply_update(other, made[2], load_chip("az1"), made[1])


@pytest.fixture(scope="module")
def pieces(made: tuple[Path, Path, Path]) -> dict[Key, bytes]:
    compiled = compile_pieces(read_onnx(made[0]), load_chip("tiny"), made[1], unwatched)
    return dict(compiled.pieces)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_pieces_of_any_bytes_end_in_images_or_one_line(
    pieces: dict[Key, bytes], data: st.DataObject
) -> None:
    changed = dict(pieces)
    for _ in range(data.draw(st.integers(1, 3))):
        key = data.draw(st.sampled_from(sorted(changed)))
        content = bytearray(changed[key])
        way = data.draw(st.sampled_from(["gone", "cut", "flip", "more", "any"]))
        if way == "gone" and len(changed) > 1:
            del changed[key]
            continue
        if way == "cut":
            del content[data.draw(st.integers(0, len(content))) :]
        elif way == "flip" and content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        elif way == "more":
            content += bytes([255]) * data.draw(st.integers(1, 20))
        else:
            content = bytearray(data.draw(st.binary(max_size=30)))
        changed[key] = bytes(content)
    try:
        images = put_together(changed, load_chip("tiny"))
    except AzsimError as error:
        lines = str(error).splitlines()
    else:
        lines = [str(images.to_json())]
    assert len(lines) == 1
