"""A headless Chromium for tests of HTML pages."""

from __future__ import annotations

import base64
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

PROGRAMS = ("chromium", "chromedriver")
OPTIONS = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--disable-dev-shm-usage",
)  # fmt: skip
READY_SECONDS = 60

# Every text with its contrast against the nearest background, by the formula of WCAG 2.1.
CONTRAST_SCRIPT = """
const parts = (text) => (text.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
const light = (rgb) => rgb.slice(0, 3).map((value) => value / 255)
  .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, place) => sum + c * [0.2126, 0.7152, 0.0722][place], 0);
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = parts(getComputedStyle(at).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const found = [];
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  const hidden = element.closest("script, style, noscript, option, .bartext");
  const box = element.getBoundingClientRect();
  if (hidden || !walker.currentNode.textContent.trim() || !box.width) continue;
  const style = getComputedStyle(element);
  const ink = parts(element.closest("svg") ? style.fill : style.color);
  const [a, b] = [light(ink), light(behind(element))].sort((x, y) => y - x);
  found.push([walker.currentNode.textContent.trim(), (a + 0.05) / (b + 0.05)]);
}
return found;
"""


class Browser:
    """One Chromium session; `show` opens a page, the rest asks it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def show(self, page: Path, width: int = 1280, dark: bool = False) -> None:
        """Open a page, wait until its figures are drawn; the console's log begins anew."""
        self.driver.get_log("browser")
        self.resize(width)
        self.colours(dark)
        self.driver.get(page.as_uri())
        self.wait(lambda: self.run("return document.documentElement.dataset.ready") == "yes")

    def resize(self, width: int) -> None:
        """Give the window another width, in CSS pixels."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def colours(self, dark: bool) -> None:
        """Prefer dark or light colours, as the reader's system would."""
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript in the page; what it returns."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition: Callable[[], Any]) -> None:
        """Wait until `condition` holds."""
        end = time.monotonic() + READY_SECONDS
        while not condition():
            assert time.monotonic() < end, "the page did not get there"
            time.sleep(0.05)

    def complaints(self) -> list[str]:
        """What the page wrote to the console since it was opened."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def contrasts(self) -> list[tuple[str, float]]:
        """Every text that is shown, with its contrast."""
        return [(text, ratio) for text, ratio in self.run(CONTRAST_SCRIPT)]

    def printed(self) -> bytes:
        """The page as PDF."""
        answer = self.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
        return base64.b64decode(answer["data"])


@contextmanager
def open_browser(profile: Path) -> Iterator[Browser]:
    """Yield a browser with an empty profile; skip the test where Chromium is not installed."""
    paths = [shutil.which(name) for name in PROGRAMS]
    for name, path in zip(PROGRAMS, paths, strict=True):
        if path is None:
            pytest.skip(f"{name} is not installed (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = str(paths[0])
    for option in (*OPTIONS, f"--user-data-dir={profile}"):
        options.add_argument(option)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(paths[1])))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
