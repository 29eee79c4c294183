"""The page in a real browser: it draws all, loads nothing, answers a pointer, and fits phones and paper.

With OUVAE_SCREENSHOTS=FOLDER the pages are kept as pictures.
"""

import base64
import os
import re
from pathlib import Path

import pyarrow as pa
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

from analysis.report import write_report
from analysis.results import Results
from tests.browsing import chromium, needs_browser, until

pytestmark = needs_browser

CELLS = {(8, 8): [0.88, 0.84, 0.91], (16, 16): [0.73, 0.76, 0.70], (8, 8, 8): [0.4, 0.3]}
POINTS = "#chart-curve-kl_top_nats .mark-symbol path"
WIDE, NARROW = 1280, 400
DRAWN = "return document.documentElement.dataset.drawn"
WIDTHS = """
    return [...document.querySelectorAll('.chart')].map(
        one => [one.dataset.width, Math.round(one.querySelector('svg').getBoundingClientRect().width)])
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def page(driver, make_run, make_members):
    """Return the browser at the page of a run with probes, a lost member, and names like tags."""
    members = make_members(CELLS, diverged=[((8, 8), 1, 0.5)])
    probes = make_members({(8, 8): [0.8] * 6}, rho=[0.83]).slice(3)
    members = pa.concat_tables([members, probes])
    names = pa.array([f"</script><b>{name}</b>" for name in members["member_id"].to_pylist()])
    members = members.set_column(0, members.schema.field("member_id"), names)
    path = write_report([Results(make_run(members))])
    see(driver, path, WIDE)
    return driver


def see(driver, path: Path, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get(path.as_uri())
    until(
        lambda: driver.execute_script("return document.documentElement.dataset.drawn"), "the charts are drawn"
    )


def keep(name: str, data: str) -> None:
    if folder := os.environ.get("OUVAE_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / name).write_bytes(base64.b64decode(data))


def brightness(colour: str) -> float:
    """Return the mean of a CSS colour's parts, from 0 to 255."""
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def test_the_page_in_a_browser(page):
    """One visit for all: a page takes seconds to draw."""
    places = page.find_elements(By.CLASS_NAME, "chart")
    assert page.execute_script(DRAWN) == str(len(places))
    assert all(place.find_elements(By.TAG_NAME, "svg") for place in places)
    assert page.get_log("browser") == []
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0
    points = page.find_elements(By.CSS_SELECTOR, POINTS)
    assert len(points) == 8 * 11 + 3, "each member, that without a value at the upper edge"

    ActionChains(page).move_to_element(points[0]).perform()
    tip = until(lambda: page.find_elements(By.CSS_SELECTOR, "#vg-tooltip-element.visible"), "a tip")[0]
    for text in ("digits mlp 8,8", "seed", "ρ", "</script><b>8,8-0-0.5</b>"):
        assert text in tip.text, tip.text
    assert not tip.find_elements(By.TAG_NAME, "b")

    def switch(kind: str, value: int, left: int) -> None:
        page.execute_script(f"document.querySelector('[data-switch={kind}][value=\"{value}\"]').click()")
        until(lambda: len(page.find_elements(By.CSS_SELECTOR, POINTS)) == left, f"{left} points are left")

    switch("cells", 1, 5 * 11 + 3)
    switch("groups", 0, 3 * 11 + 3)
    switch("groups", 3, 3 * 11)
    page.execute_script("document.querySelector('[data-all=cells][data-to=off]').click()")
    until(lambda: not page.find_elements(By.CSS_SELECTOR, POINTS), "no cell is left")
    for kind in ("cells", "groups"):
        page.execute_script(f"document.querySelector('[data-all={kind}][data-to=on]').click()")
    until(lambda: len(page.find_elements(By.CSS_SELECTOR, POINTS)) == len(points), "all are back")

    page.execute_script("document.getElementById('members').open = true")
    rows = until(lambda: page.find_elements(By.CSS_SELECTOR, "#members tbody tr"), "the list of members")
    assert len(rows) == len(points)
    head = [cell.text for cell in page.find_elements(By.CSS_SELECTOR, "#members thead th")]
    assert head == ["cell", "ρ", "seed", "status", "member_id"]
    page.execute_script("document.getElementById('members').open = false")

    path = Path(page.current_url.removeprefix("file://"))
    for width in (WIDE, NARROW):
        see(page, path, width)
        height, seen = page.execute_script(
            "return [document.documentElement.scrollHeight, document.documentElement.scrollWidth]"
        )
        assert seen <= width, "nothing but tables is wider than the page"
        cells = page.find_elements(By.CSS_SELECTOR, "#thresholds td")
        assert all(cell.rect["x"] + cell.rect["width"] <= width for cell in cells), "no number is off screen"
        widths = [drawn for _, drawn in page.execute_script(WIDTHS)]
        assert 0.75 * NARROW < min(widths) <= max(widths) <= width
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = page.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        keep(f"report-{width}.png", shot["data"])

    sections = page.find_elements(By.CSS_SELECTOR, "section[id] h2")
    links = page.find_elements(By.CSS_SELECTOR, ".contents a")
    assert [link.text for link in links] == [head.text for head in sections]
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    background, text = page.execute_script(
        "const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]"
    )
    assert brightness(background) < 60 < 180 < brightness(text)
    keep("report-dark.png", page.execute_cdp_cmd("Page.captureScreenshot", {})["data"])
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    see(page, path, WIDE)
    printed = page.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"]
    keep("report.pdf", printed)
    assert base64.b64decode(printed).count(b"/Type /Page\n") in range(3, 12)
    folded = "return document.querySelectorAll('details:not([open]):not(#members)').length"
    before = page.execute_script(folded)
    page.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert page.execute_script(folded) == 0 < before
    assert set(map(tuple, page.execute_script(WIDTHS))) == {("wide", 660), ("narrow", 318)}
    page.execute_script("window.dispatchEvent(new Event('afterprint'))")
    assert page.execute_script(folded) == before
    assert page.get_log("browser") == []
