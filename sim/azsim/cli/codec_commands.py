"""`azsim compress`, `azsim decompress` and `azsim inspect`: weight streams on files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from azsim.cli.screen import screen
from azsim.codec import (
    StreamInfo,
    TableInfo,
    decode_tensor,
    encode_tensor,
    inspect_stream,
    load_stream,
    load_weights_npy,
    save_npy,
    save_stream,
)
from azsim.errors import ConfigError

Output = Annotated[Path, typer.Option("-o", "--output", help="File to write.")]


def register(app: typer.Typer) -> None:
    """Add the stream commands to `app`."""
    app.command("compress")(compress)
    app.command("decompress")(decompress)
    app.command("inspect")(inspect)


def parse_tile_shape(text: str) -> tuple[int, int]:
    """Return (rows, columns) of a text such as "8x2048"; ConfigError if it is not of that form."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise ConfigError(f"--tile-shape: must be ROWSxCOLUMNS, such as 8x2048, not {text}")
    return int(parts[0]), int(parts[1])


def compress(
    weights: Annotated[Path, typer.Argument(help="int8 matrix or vector, .npy.")],
    output: Output,
    profile: Annotated[str, typer.Option(help="bitmap or ans.")] = "bitmap",
    tile: Annotated[
        int | None,
        typer.Option(
            help="Weights per tile of the flattened matrix; default 16384, with ans 65536 from"
            " 75 % zeros on or up to 2.5 bits of entropy per weight."
        ),
    ] = None,
    tile_shape: Annotated[
        str | None, typer.Option(metavar="RxC", help="Rows x columns of a tile, instead of --tile.")
    ] = None,
    tile_order: Annotated[
        str, typer.Option(help="Order inside a shaped tile: row or column.")
    ] = "row",
    prefer_speed: Annotated[
        bool,
        typer.Option(
            "--prefer-speed/--prefer-size",
            help="Profile ans: take modes of fewer decoder cycles that are nearly as short.",
        ),
    ] = True,
) -> None:
    """Compress int8 weights into a weight stream."""
    matrix = load_weights_npy(weights)
    stream = encode_tensor(
        matrix,
        profile=profile,
        tile=tile,
        tile_shape=None if tile_shape is None else parse_tile_shape(tile_shape),
        tile_order=tile_order,
        prefer_speed=prefer_speed,
        name=str(weights),
    )
    save_stream(stream, output)
    size = stream.words.size * 8
    screen().print(
        f"{output}: {matrix.shape[0]} x {matrix.shape[1]} weights in {stream.tile_count} tiles, "
        f"{size} bytes, {8 * size / matrix.size:.3f} bits per weight",
        markup=False,
        soft_wrap=True,
    )


def decompress(
    stream: Annotated[Path, typer.Argument(help="Weight stream, .azw.")],
    output: Output,
) -> None:
    """Decode a weight stream to an int8 matrix."""
    matrix = decode_tensor(load_stream(stream))
    save_npy(output, matrix)
    screen().print(
        f"{output}: {matrix.shape[0]} x {matrix.shape[1]} weights", markup=False, soft_wrap=True
    )


def inspect(
    stream: Annotated[Path, typer.Argument(help="Weight stream, .azw.")],
) -> None:
    """Show what a weight stream consists of and how fast a decoder reads it."""
    info = inspect_stream(load_stream(stream))
    screen().print(stream_table(info, str(stream)))


def stream_table(info: StreamInfo, title: str) -> Table:
    """Return the statistics of a stream as a table of two columns."""
    table = Table(show_header=False, title=title, title_justify="left", title_style="")
    table.add_column(no_wrap=True)
    table.add_column()
    for label, text in stream_rows(info):
        table.add_row(label, text)
    return table


def table_rows(table: TableInfo) -> list[tuple[str, str]]:
    """Return (label, text) of each line about a TABLE record."""
    rows = [(f"table {table.slot}: classes", " ".join(table.classes) or "none")]
    if table.palette:
        rows.append(("  palette", " ".join(map(str, table.palette))))
    for name, bits in (("mask nibble", table.mask_bits), ("class", table.class_bits)):
        rows.append((f"  bits per {name}", " ".join(f"{b:.2f}" for b in bits) + " by context"))
    return rows


BARS = " ▁▂▃▄▅▆▇█"
MOST_BARS = 64


def histogram_rows(counts: tuple[int, ...]) -> list[tuple[str, str]]:
    """Return the line that pictures how often each weight but 0 occurs; none if all are 0.

    counts  (256,) of the weights -128..127
    A bar stands for 1, 2 or 4 neighbours; the highest is full, any that occurs has an eighth, and 0
    leaves a gap if it has a bar of its own.
    """
    shown = [0 if value == 128 else count for value, count in enumerate(counts)]
    places = [value for value, count in enumerate(shown) if count]
    if not places:
        return []
    step = 1
    while (places[-1] // step) - (places[0] // step) >= MOST_BARS:
        step *= 2
    first = places[0] // step * step
    bars = [sum(shown[at : at + step]) for at in range(first, places[-1] + 1, step)]
    picture = "".join(BARS[-(-8 * bar // max(bars))] for bar in bars)
    last = first + step * len(bars) - 1
    per_bar = f", {step} per bar" if step > 1 else ""
    return [(f"{first - 128}..{last - 128}{per_bar}", picture)]


def stream_rows(info: StreamInfo) -> list[tuple[str, str]]:
    """Return (label, text) of each line of statistics."""
    tile = f"{info.tile_rows} x {info.tile_columns}, {info.tile_order} order"
    rows = [
        ("weights", f"{info.rows} x {info.columns} = {info.weights}"),
        ("zeros", f"{100 * info.zero_share:.2f} %"),
        *histogram_rows(info.counts),
        ("profile", info.profile),
        ("tiles", f"{info.tiles} of {tile}"),
        ("tile modes", ", ".join(f"{name} {count}" for name, count in info.modes.items())),
        ("fixed widths", ", ".join(f"{w} bit {n}" for w, n in info.widths.items()) or "none"),
    ]
    for table in info.tables:
        rows += table_rows(table)
    for name, bits in info.parts.items():
        rows.append((name, f"{bits} bits, {100 * bits / info.total_bits:.2f} %"))
    rows += [
        ("payload", f"{info.total_bits // 8} bytes"),
        ("container", f"{info.container_bytes} bytes around it"),
        ("bits per weight", f"{info.bits_per_weight:.4f}"),
        ("entropy (zero order)", f"{info.entropy_bits_per_weight:.4f} bits per weight"),
        ("decoder beats", str(info.beats)),
    ]
    for port_bits, cycles in info.cycles.items():
        rate = info.weights_per_cycle(port_bits)
        rows.append((f"{port_bits}-bit port", f"{cycles} cycles, {rate:.2f} weights per cycle"))
    return rows
