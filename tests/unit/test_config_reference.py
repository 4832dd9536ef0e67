"""The generated reference of chip files says what the schema enforces."""

from __future__ import annotations

import pytest

from azsim.config import chip_names
from azsim.config.load import schema_keys
from azsim.config.reference import config_markdown
from azsim.config.rules import RULES

pytestmark = pytest.mark.small


def test_every_key_rule_and_chip_stands_on_the_page() -> None:
    page = config_markdown()
    for path, _ in schema_keys():
        assert f"`{'.'.join(path)}`" in page or f"## {path[0]}\n" in page, path
    assert page.count("\n* `") == len(RULES)
    for name in chip_names():
        assert f"| `{name}` |" in page


def test_bounds_are_written_the_way_the_schema_enforces_them() -> None:
    page = config_markdown()
    assert "| `core.clock_mhz` | integer 1 to 10000 | `500` |" in page
    assert "| `dma_w.burst_bytes` | integer 8 to 4096, power of two | `128` |" in page
    assert "| `decoder.port_bits` | `64` or `128` | `128` |" in page
    assert (
        "| `mac_array.products_per_mac` | mapping: integer 1 to 8 to integer 1 to 64 | `{8: 1}` |"
        in page
    )
