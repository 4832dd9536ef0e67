"""The HTML pages in a real browser: drawn, sorted, filtered, printed, on a phone, in the dark."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from browser import Browser, open_browser
from command import azsim
from report_cases import make_record
from report_pages import HOSTILE_LAYER, hostile_record, save_run, save_sweep
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

LEAST_CONTRAST = 4.5
PHONE = 390


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def run_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_run(hostile_record(), tmp_path_factory.mktemp("page") / "run")
    assert azsim("report", folder).code == 0
    return folder / "report.html"


def check_drawn(browser: Browser, figures: int) -> None:
    """Every figure is drawn, nothing was loaded, the console is empty, no name became code."""
    assert browser.complaints() == []
    assert browser.run("return performance.getEntriesByType('resource').length") == 0
    drawn = "return [...document.querySelectorAll('.plot')].map(p => !!p.querySelector('svg'))"
    assert browser.run(drawn) == [True] * figures
    assert browser.run("return window.hacked") is None


def check_contrast(browser: Browser) -> None:
    """Every text is readable, in both colour schemes, also after the reader switches."""
    ink = "return getComputedStyle(document.querySelector('.plot text')).fill"
    for dark, colour in ((False, "rgb(27, 31, 36)"), (True, "rgb(230, 233, 237)")):
        browser.colours(dark)
        browser.wait(partial(_equal, browser, ink, colour))
        found = browser.contrasts()
        assert len(found) > 100
        assert [each for each in found if each[1] < LEAST_CONTRAST] == []


def _equal(browser: Browser, script: str, value: object) -> bool:
    return bool(browser.run(script) == value)


def check_phone(browser: Browser, page: Path) -> None:
    """Nothing is wider than a phone, but what scrolls by itself."""
    browser.show(page, PHONE)
    assert browser.run("return document.documentElement.scrollWidth") == PHONE
    sizes = "return [...document.querySelectorAll('.plot')].map(p => [p._fullLayout.width, p._fullLayout.height])"  # noqa: E501
    assert all(width <= PHONE and height >= 100 for width, height in browser.run(sizes))


def check_paper(browser: Browser) -> None:
    """In the dark the page is printed dark on white, unfolded, and comes back after it."""
    browser.colours(dark=True)
    browser.run(
        "addEventListener('beforeprint', () => { window.seen = ["
        "document.querySelectorAll('details:not([open])').length,"
        "getComputedStyle(document.querySelector('.plot text')).fill,"
        "Math.max(...[...document.querySelectorAll('.plot')].map(p => p._fullLayout.width))]; });"
    )
    pdf = browser.printed()
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Type /Page\n") >= 2
    assert browser.run("return window.seen") == [0, "rgb(0, 0, 0)", 680]
    assert browser.run("return document.documentElement.dataset.paper") is None


def column(browser: Browser, table: str, number: int) -> list[str]:
    script = (
        "return [...document.querySelectorAll(`#${arguments[0]} tbody tr:not([hidden])`)]"
        ".map(row => row.cells[arguments[1]].textContent)"
    )
    found: list[str] = browser.run(script, table, number)
    return found


def test_a_run_is_drawn(browser: Browser, run_page: Path) -> None:
    browser.show(run_page)
    check_drawn(browser, figures=9)
    assert column(browser, "layer-table", 1)[0] == HOSTILE_LAYER
    labels = (
        "return [...document.querySelectorAll('#layers-plot .ytick text')].map(t => t.textContent)"
    )
    assert browser.run(labels)[0] == "…" + HOSTILE_LAYER[-25:]
    check_contrast(browser)
    check_paper(browser)
    assert browser.complaints() == []


def test_tables_are_sorted_and_searched_by_keyboard(browser: Browser, run_page: Path) -> None:
    browser.show(run_page)
    head = browser.driver.find_elements("css selector", "#layer-table th")[10]
    assert head.text.startswith("cycles")
    browser.run("arguments[0].querySelector('button').focus()", head)
    spans = ["4,000", "600", "400"]
    for order, expected in (("ascending", spans[::-1]), ("descending", spans)):
        ActionChains(browser.driver).send_keys(Keys.ENTER).perform()
        assert head.get_attribute("aria-sort") == order
        assert column(browser, "layer-table", 10) == expected
    field = browser.driver.find_element("css selector", "input[data-search='layer-table']")
    field.send_keys("ENC lstm")
    assert column(browser, "layer-table", 1) == ["enc/cell"]
    counted = browser.driver.find_element("css selector", "[data-count='layer-table']")
    assert counted.text == "1 of 3 rows"


def test_everything_is_reached_by_the_tab_key(browser: Browser, run_page: Path) -> None:
    browser.show(run_page)
    every = "const all = [...document.querySelectorAll('*')];"
    wanted = browser.run(
        every + "return all.filter(e => e.matches('a, button, input, select, summary, .wide')"
        " && e.checkVisibility({contentVisibilityAuto: true})).map(e => all.indexOf(e))"
    )
    reached = []
    for _ in wanted:
        ActionChains(browser.driver).send_keys(Keys.TAB).perform()
        reached.append(browser.run(every + "return all.indexOf(document.activeElement)"))
    assert reached == wanted
    assert len(wanted) > 50
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.run(outline) == "solid"


def test_the_timeline_moves_by_buttons(browser: Browser, run_page: Path) -> None:
    browser.show(run_page)
    buttons = browser.driver.find_elements("css selector", "[data-controls='timeline'] button")
    ranges = []
    for button in buttons:
        button.send_keys(Keys.ENTER)
        found = browser.run("return document.getElementById('timeline').layout.xaxis.range")
        ranges.append([round(value) for value in found])
    assert [button.text for button in buttons] == ["Zoom in", "Zoom out", "Earlier", "Later", "All"]
    assert ranges == [[250, 750], [0, 1000], [-250, 750], [0, 1000], [0, 1000]]


def test_units_of_the_weight_path_are_chosen(browser: Browser, run_page: Path) -> None:
    browser.show(run_page)
    choice = browser.driver.find_element(
        "css selector", "[data-controls='weight-path-plot'] select"
    )
    choice.send_keys("lanes")
    shown = "return document.getElementById('weight-path-plot').data.filter(t => t.visible).map(t => t.x[0])"  # noqa: E501
    values = browser.run(shown)
    assert len(values) == 5
    assert values[0] == pytest.approx(10.2)  # busy (100 + 2) of 1000 cycles
    assert sum(values) == pytest.approx(100)


def test_a_run_on_a_phone(browser: Browser, run_page: Path) -> None:
    check_phone(browser, run_page)


@pytest.fixture(scope="module")
def sweep_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_sweep(tmp_path_factory.mktemp("page") / "sweep")
    assert azsim("report", folder).code == 0
    return folder / "report.html"


def drawn_points(browser: Browser) -> tuple[list[list[float]], int]:
    """The points of each class in the scatter plot, and the lines of the other figure."""
    script = (
        "const x = document.getElementById('pareto').data.map(trace => trace.x);"
        "const lines = document.getElementById('parallel').data"
        ".map(trace => trace.x.filter(v => v === null).length);"
        "return [x, lines.reduce((a, b) => a + b)]"
    )
    classes, lines = browser.run(script)
    return classes, lines


def test_a_sweep_is_drawn(browser: Browser, sweep_page: Path) -> None:
    browser.show(sweep_page)
    check_drawn(browser, figures=2)
    assert drawn_points(browser) == ([[11], [31, 21], [30, 20, 10]], 6)
    choice = browser.driver.find_elements("css selector", "#filters select")
    assert [option.text for option in choice[1].find_elements("tag name", "option")] == [
        "decoder.units", "latency", "area_k_gates", "real_time_factor",
    ]  # fmt: skip
    check_contrast(browser)
    check_phone(browser, sweep_page)


def test_filters_act_on_figures_and_table(browser: Browser, sweep_page: Path) -> None:
    browser.show(sweep_page)
    find = browser.driver.find_element
    status = find("id", "shown-points")
    assert status.text == "6 of 6 points shown"
    find("css selector", "#filters input[value='4']").send_keys(Keys.SPACE)
    assert drawn_points(browser) == ([[], [31, 21], [30, 20]], 4)
    assert column(browser, "points-table", 0) == ["0", "1", "3", "4"]
    find("css selector", "input[aria-label='latency: at most']").send_keys("21")
    assert drawn_points(browser) == ([[], [21], [20]], 2)
    assert status.text == "2 of 6 points shown"
    kind, across, _ = browser.driver.find_elements("css selector", "#filters select")
    kind.send_keys("the front")
    across.send_keys("real")
    assert drawn_points(browser) == ([[], [], [0.4]], 1)
    find("css selector", "#filters button").send_keys(Keys.ENTER)
    assert drawn_points(browser) == ([[11], [31, 21], [30, 20, 10]], 6)
    assert browser.complaints() == []


def test_a_comparison_is_drawn(browser: Browser, tmp_path: Path) -> None:
    folders = save_run(hostile_record(), tmp_path / "a"), save_run(make_record(), tmp_path / "b")
    page = tmp_path / "page.html"
    assert azsim("compare", *folders, "--force", "--html", page).code == 0
    browser.show(page)
    check_drawn(browser, figures=2)  # no action differs, so there is none of energy
    check_contrast(browser)
    check_phone(browser, page)
