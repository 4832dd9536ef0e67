"""Compressed weight streams: encode, decode, container files and statistics.

The format is docs/decoder.md. Decoding checks everything a stream says before it believes it.
"""

from azsim.codec.container import Stream, load_stream, save_stream
from azsim.codec.decode import decode_tensor, decode_tile_at
from azsim.codec.encode import encode_tensor, encode_tiles
from azsim.codec.files import load_weights_npy, save_npy
from azsim.codec.geometry import TileGrid
from azsim.codec.inspect import StreamInfo, TableInfo, inspect_stream

__all__ = [
    "Stream",
    "StreamInfo",
    "TableInfo",
    "TileGrid",
    "decode_tensor",
    "decode_tile_at",
    "encode_tensor",
    "encode_tiles",
    "inspect_stream",
    "load_stream",
    "load_weights_npy",
    "save_npy",
    "save_stream",
]
