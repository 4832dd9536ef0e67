"""Semaphores from memory: who must wait for whom."""

from __future__ import annotations

import pytest

from azsim.compiler.emit.builder import Access, Command, ProgramBuilder, Semaphores
from azsim.errors import CompileError
from azsim_kernels import isa

pytestmark = pytest.mark.small


def make(limit: int = 32) -> ProgramBuilder:
    return ProgramBuilder(Semaphores(limit), abuf_bytes=1024, accumulators=8)


def load() -> Command:
    return Command(isa.DMA_A, isa.LOAD, (0, 0, 16))


def vector() -> Command:
    return Command(isa.VECTOR, isa.REQUANT, ())


def product() -> Command:
    return Command(isa.MAC, isa.PRODUCT, ())


def test_a_reader_waits_for_the_data_of_another_engine() -> None:
    builder = make()
    builder.add(load(), writes=[Access("abuf", 0, 16)])
    builder.add(vector(), reads=[Access("abuf", 8, 9)])
    first, second = builder.commands
    assert first.signals == second.waits == [0]
    assert builder.semaphores.kinds == [isa.DATA]


def test_a_writer_waits_for_readers_of_the_old_bytes() -> None:
    builder = make()
    builder.add(vector(), reads=[Access("abuf", 0, 16)])
    builder.add(load(), writes=[Access("abuf", 0, 16)])
    assert builder.commands[0].signals == builder.commands[1].waits == [0]
    assert builder.semaphores.kinds == [isa.SPACE]


def test_other_bytes_and_the_same_engine_need_no_wait() -> None:
    builder = make()
    builder.add(load(), writes=[Access("abuf", 0, 16)])
    builder.add(vector(), reads=[Access("abuf", 16, 32)])
    builder.add(load(), writes=[Access("abuf", 0, 16)])
    assert not any(command.waits for command in builder.commands)


def test_only_the_youngest_writer_is_waited_for_and_only_once() -> None:
    builder = make()
    builder.add(load(), writes=[Access("abuf", 0, 16)])
    builder.add(load(), writes=[Access("abuf", 16, 32)])
    builder.add(vector(), reads=[Access("abuf", 0, 32)])
    builder.add(vector(), reads=[Access("abuf", 0, 16)])
    assert [command.signals for command in builder.commands] == [[], [0], [], []]
    assert [command.waits for command in builder.commands] == [[], [], [0], []]


def test_accumulators_are_a_memory_of_their_own() -> None:
    builder = make()
    builder.add(product(), writes=[Access("accumulators", 0, 4)])
    builder.add(product(), writes=[Access("accumulators", 4, 8)])
    builder.add(vector(), reads=[Access("accumulators", 0, 4)])
    assert builder.commands[0].signals == builder.commands[2].waits == [0]
    assert builder.commands[1].signals == []


def test_records_count_repeated_semaphores() -> None:
    builder = make()
    builder.add(Command(isa.MAC, isa.PRODUCT, (1, 2), signals=[3, 3, 1]))
    record = builder.records()[0]
    assert record["n_signal"] == 2
    assert list(record["signal"][:2]) == [3, 1]
    assert list(record["signal_count"][:2]) == [2, 1]
    assert list(record["arg"][:3]) == [1, 2, 0]


def test_too_few_semaphores_are_named() -> None:
    builder = make(limit=1)
    builder.semaphores.number("a", isa.DATA)  # type: ignore[arg-type]
    message = r"^sequencer\.semaphores: needs more than the 1 the chip has$"
    with pytest.raises(CompileError, match=message):
        builder.semaphores.number("b", isa.DATA)  # type: ignore[arg-type]


def test_too_many_semaphores_of_a_command_are_named() -> None:
    builder = make()
    builder.add(Command(isa.MAC, isa.PRODUCT, (), waits=[0, 1, 2, 3, 4]))
    with pytest.raises(CompileError, match=r"^command 0: needs 5 wait semaphores, has 4$"):
        builder.records()
