"""Generated pages are fresh; what pages name exists: files, links, targets, commands, options."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted(
    [
        *REPOSITORY.glob("*.md"),
        *(REPOSITORY / "docs").rglob("*.md"),
        *(REPOSITORY / "examples").rglob("*.md"),
        *(REPOSITORY / "tests").rglob("*.md"),
    ]
)
TOPS = "sim|kernels|hw_configs|rtl|tests|examples|docs|benchmarks|tools|\\.ci"
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def ids(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def code_of(page: Path) -> Iterator[str]:
    """Yield each inline code and each line of each fenced block of `page`."""
    text = page.read_text(encoding="utf-8")
    for block in FENCE.findall(text):
        yield from (line.strip() for line in block.splitlines()[1:-1])
    yield from CODE.findall(FENCE.sub("", text))


def test_there_are_pages() -> None:
    names = {ids(page) for page in PAGES}
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md"} <= names


def test_each_folder_of_tests_has_its_question() -> None:
    page = (REPOSITORY / "tests" / "README.md").read_text(encoding="utf-8")
    folders = {path.parent.name for path in (REPOSITORY / "tests").glob("*/*.py")}
    assert [name for name in sorted(folders) if f"| `{name}` | " not in page] == []


@pytest.fixture(scope="module")
def docs_tool() -> ModuleType:
    """tools/docs.py, which is no package."""
    spec = importlib.util.spec_from_file_location("docs_tool", REPOSITORY / "tools" / "docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_pages_are_fresh(docs_tool: ModuleType) -> None:
    assert docs_tool.stale_pages(REPOSITORY / "docs") == []


def test_a_stale_page_is_named_and_writing_mends_it(
    docs_tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = list(docs_tool.PAGES)
    assert docs_tool.main(["--check"], tmp_path) == 1
    assert docs_tool.main([], tmp_path) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert docs_tool.main(["--check"], tmp_path) == 0
    (tmp_path / names[0]).write_text("old", encoding="utf-8")
    capsys.readouterr()
    assert docs_tool.main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err == (
        f"docs/{names[0]}: must be what the sources say: run 'make docs'\n"
    )
    assert docs_tool.main(["--what"], tmp_path) == 2


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_named_file_exists(page: Path) -> None:
    path = re.compile(rf"(?<![\w/.-])((?:{TOPS})/[\w./*<>{{}}-]+|[A-Z]{{6,}}\.md|[A-Z]?\w+\.toml)")
    text = page.read_text(encoding="utf-8")
    named = {match.rstrip(".") for match in path.findall(text)}
    concrete = [name for name in named if not re.search(r"NNNN|NAME|[*<>{}]|\.\.", name)]
    assert [name for name in sorted(concrete) if not (REPOSITORY / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_make_target_exists(page: Path) -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for code in code_of(page):
        words = code.split("#")[0].split()
        if words[:1] == ["make"]:
            asked = {word for word in words[1:] if "=" not in word and not word.startswith("-")}
            assert asked <= targets, code


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_command_and_option_exists(page: Path) -> None:
    for code in code_of(page):
        words = command_words(code)
        if words is not None:
            assert unknown_words(words) == [], code


def command_words(code: str) -> list[str] | None:
    """Return the words behind `azsim` if `code` calls it, without what follows in the shell."""
    match = re.match(r"(?:\$ )?(?:\S*\.venv/bin/)?(?:python3? -m )?azsim (?=[a-z-])(.*)$", code)
    if match is None:
        return None
    words = shlex.split(re.sub(r"\[|\]|\\$", "", match[1]), comments=True)
    stops = [i for i, word in enumerate(words) if word in {"|", ">", "&&", ";"}]
    return words[: stops[0]] if stops else words


def unknown_words(words: list[str]) -> list[str]:
    """Return the words that are neither a command nor an option of azsim."""
    command = root_command()
    unknown: list[str] = []
    for word in words:
        commands = getattr(command, "commands", None)  # a group has them, a command has not
        if commands is not None and not word.startswith("-"):
            if word not in commands:
                return [word]
            command = commands[word]
        elif word.startswith("-"):
            known = {option for param in command.params for option in param.opts}
            known |= {option for param in command.params for option in param.secondary_opts}
            unknown += [word] if word.split("=")[0] not in known | {"--help"} else []
    return unknown


def root_command() -> Any:
    """Return azsim's command tree (Typer brings its own copy of click's classes)."""
    from azsim.cli.app import full_app

    return typer.main.get_command(full_app())


def test_a_wrong_command_or_option_would_be_noticed() -> None:
    assert command_words("azsim run m.onnx --chip az1 | head") == ["run", "m.onnx", "--chip", "az1"]
    assert command_words("$ .venv/bin/python -m azsim chips  # all") == ["chips"]
    assert command_words("make test") is None
    assert unknown_words(["chops"]) == ["chops"]
    assert unknown_words(["chips", "--no-such-option"]) == ["--no-such-option"]
    assert unknown_words(["chips", "--help"]) == []
