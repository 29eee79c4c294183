"""MLflow's own pages show a tracked sweep: its answer, nested runs, filters, curves over one another.

A real browser (Chromium, headless) reads what `mlflow ui` serves. With OUVAE_SCREENSHOTS=FOLDER
the pages are kept as pictures.
"""

import os
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import ElementClickInterceptedException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement

from ouvae.declared import Cell
from sweeps.machine import processes, sockets
from sweeps.tracking.store import check
from sweeps.tracking.tracker import Tracker
from sweeps.tracking.uri import default_uri, ui_command, ui_port
from sweeps.tracking.values import CELL_PARAMS, CompleteCell, texts
from tests.browsing import chromium, needs_browser, until

pytestmark = needs_browser

RHOS = (0.5, 0.6, 0.7, 0.76, 0.8, 0.85, 0.9, 1.0)
SEEDS = (0, 1)
ONSET = {2: 0.86, 3: 0.79}
LABELS = {2: "digits mlp 8,8", 3: "digits mlp 8,8,8"}
ANSWER = "8,8: ρ_c = 0.840 [0.832, 0.848]; 8,8,8: ρ_c = 0.770 [0.762, 0.778]"


def kl_top(depth: int, rho: float) -> float:
    return round(max(0.0, ONSET[depth] - rho) ** 0.5 * 4, 3)


def row(depth: int, rho: float, seed: int) -> dict[str, Any]:
    return {
        **dict.fromkeys(CELL_PARAMS),
        **dict(Cell(dataset="digits", latents=(8,) * depth)),
        "member_id": f"{depth} {rho} {seed}",
        "space": "depths",
        "cell_id": str(depth),
        "cell": LABELS[depth],
        "depth": depth,
        "rho": rho,
        "control": "rho",
        "value": rho,
        "seed": seed,
        "kl_top_nats": kl_top(depth, rho),
        "elbo_nats": -24.0,
        "status": "completed",
        "seconds": 2.5,
        "finished_at": datetime.now(UTC) - timedelta(seconds=100 * rho - seed),
    }


@dataclass(frozen=True)
class Site:
    """A served store: where, and the page of the curves."""

    start: str
    pid: int
    experiment: str
    curves_url: str

    @property
    def runs_url(self) -> str:
        return self.experiment + "?workflowType=machine_learning"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("runs")
    uri = default_uri(folder)
    check(uri)
    tracker = Tracker(uri, "depths", "sweep-1", "depths", {"seeds": SEEDS})
    for depth in ONSET:
        for rho in RHOS:
            for seed in SEEDS:
                tracker.log_member(row(depth, rho, seed), [])
        params = texts(row(depth, 0.5, 0), CELL_PARAMS)
        curve = [(rho, kl_top(depth, rho)) for rho in RHOS]
        threshold = {
            "order_parameter": "kl_top",
            "critical_value": ONSET[depth] - 0.02,
            "half_width": depth / 1000,
            "n_seeds": 2,
            "n_members": len(RHOS) * len(SEEDS),
            "status": "transition",
        }
        tracker.log_cell(CompleteCell(str(depth), LABELS[depth], params, {"kl_top_nats": curve}, [threshold]))
    tracker.log_note(f"{ANSWER}\n\nIs a question answered?")
    report = tracker.close()
    assert report.complete

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", *shlex.split(ui_command(uri))]
    command += ["--port", str(port), "--workers", "1"]
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            command, env=os.environ | settings, stdout=log, stderr=log, start_new_session=True
        )
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/health"), "the server is up")
        curves_url = report.curves_url.replace(f"127.0.0.1:{ui_port()}", f"127.0.0.1:{port}")
        yield Site(f"http://127.0.0.1:{port}/", server.pid, curves_url.partition("?")[0], curves_url)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310
            return answer.status == 200
    except OSError:
        return False


PANEL = "[data-component-id='mlflow.assistant.chat_panel.close']"
"""The first visit opens a panel, "Assistant", over a quarter of the page; this closes it."""


EXPAND = "[data-component-id='mlflow.experiment.metadata_editor.expand_button']"
"""Shows more than the first line of an experiment's description."""


class Page:
    """The runs page of an experiment, in a browser."""

    def __init__(self, browser: WebDriver, url: str) -> None:
        self.browser = browser
        browser.get(url)
        until(lambda: self.all(PANEL), "the panel")[0].click()

    def all(self, selector: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def names(self) -> list[str]:
        """Return the names of the runs in the table, from top to bottom."""
        return [name for name, _ in self.rows()]

    def rows(self) -> list[tuple[str, float]]:
        """Return name and indent in pixels of the runs in the table, from top to bottom."""
        script = """
            const rows = [...document.querySelectorAll('.ag-pinned-left-cols-container [role=row]')]
            rows.sort((a, b) => a.getAttribute('row-index') - b.getAttribute('row-index'))
            return rows.map(row => row.querySelector('a')).filter(link => link)
                .map(link => [link.innerText, link.getBoundingClientRect().left])
        """
        return [tuple(found) for found in self.browser.execute_script(script)]

    def see(self, names: list[str]) -> None:
        shown: list[str] = []

        def same() -> bool:
            shown[:] = self.names()
            return shown == names

        try:
            until(same, f"the runs {names}")
        except AssertionError as error:
            raise AssertionError(f"{error}; but {shown}") from error

    def expand(self, name: str) -> None:
        """Press the plus sign of a run."""
        for row in self.all(".ag-pinned-left-cols-container [role=row]"):
            if row.find_element(By.TAG_NAME, "a").text == name:
                row.find_element(By.TAG_NAME, "button").click()

    def add_columns(self, *names: str) -> None:
        """Tick columns in the menu `Columns`."""
        [menu] = [button for button in self.all("button") if button.text == "Columns"]
        menu.click()
        for name in names:
            [box] = until(lambda: self.all("input[placeholder='Search columns']"), "a menu")
            box.send_keys(Keys.CONTROL, "a")
            box.send_keys(name)
            until(lambda name=name: self.tick(name), f"the column {name}")
        box.send_keys(Keys.ESCAPE)

    def tick(self, name: str) -> bool:
        for entry in self.all("[class*=tree-treenode]"):
            if entry.text == name:
                entry.find_element(By.CSS_SELECTOR, "[class*=checkbox]").click()
                return True
        return False

    def values(self, column: str) -> list[str]:
        """Return a column of the table, from top to bottom."""
        script = """
            const rows = [...document.querySelectorAll('.ag-center-cols-container [role=row]')]
            rows.sort((a, b) => a.getAttribute('row-index') - b.getAttribute('row-index'))
            return rows.map(r => r.querySelector(`[col-id="${arguments[0]}"]`)?.innerText ?? '')
        """
        return self.browser.execute_script(script, column)

    def curves(self) -> dict[str, tuple[list[float], list[float]]]:
        """Return the lines of the chart of `kl_top_nats`: by colour, their x and y."""
        script = """
            const cards = [...document.querySelectorAll('[data-testid$=compare-runs-card]')]
            const card = cards.find(c => c.querySelector('h4')?.innerText.startsWith('kl_top_nats'))
            const plot = card?.querySelector('.js-plotly-plot')
            const lines = [...(plot?.querySelectorAll('.scatterlayer .trace') ?? [])]
            return lines.map(line => [getComputedStyle(line.querySelector('.js-line')).stroke,
                line.querySelectorAll('.point').length, line.__data__[0].trace.x, line.__data__[0].trace.y])
        """
        return {
            color: (list(x), list(y)) for color, drawn, x, y in self.browser.execute_script(script) if drawn
        }

    def points(self, title: str) -> int:
        """Return how many points the chart of this title has."""
        script = """
            const cards = [...document.querySelectorAll('[data-testid$=compare-runs-card]')]
            const card = cards.find(c => c.querySelector('h4')?.innerText === arguments[0])
            return card?.querySelectorAll('.scatterlayer .point').length ?? 0
        """
        return int(self.browser.execute_script(script, title))

    def search(self, query: str) -> None:
        [box] = self.all("[data-testid=search-box]")
        box.send_keys(Keys.CONTROL, "a")
        box.send_keys(query, Keys.ENTER)

    def keep(self, name: str) -> None:
        if folder := os.environ.get("OUVAE_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            assert self.browser.save_screenshot(f"{folder}/{name}.png")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[WebDriver]:
    with chromium(tmp_path) as driver:
        yield driver


def member_names(rhos: tuple[float, ...] = RHOS) -> set[str]:
    return {f"rho={rho:.3f} seed={seed}" for rho in rhos for seed in SEEDS}


def click(browser: WebDriver, text: str) -> None:
    """Click what has this text, once it is there and nothing covers it."""

    def clicked() -> bool:
        with suppress(ElementClickInterceptedException, StaleElementReferenceException):
            for element in browser.find_elements(By.XPATH, f"//*[normalize-space(text())='{text}']"):
                element.click()
                return True
        return False

    until(clicked, f"a click on {text}")


def is_legible(browser: WebDriver, text: str) -> bool:
    """Tell whether a text is on a line of the window, and nothing covers or cuts either of its ends."""
    script = """
        const paragraph = [...document.querySelectorAll('p')].find(p => p.innerText === arguments[0])
        if (!paragraph) return false
        const range = document.createRange()
        range.selectNodeContents(paragraph)
        const lines = [...range.getClientRects()]
        const seen = (x, y) => paragraph.contains(document.elementFromPoint(x, y))
        return lines.length === 1 && lines.every(line =>
            seen(line.left + 1, line.top + 1) && seen(line.right - 1, line.bottom - 1))
    """
    return bool(browser.execute_script(script, text))


def test_the_server_listens_on_this_machine_alone(site: Site) -> None:
    addresses = sockets.listening([site.pid, *processes.descendants(site.pid)]).values()
    assert set().union(*addresses) == {"127.0.0.1"}


def test_the_answer_is_two_clicks_from_the_start_page(browser: WebDriver, site: Site) -> None:
    """On a small screen, beside the panel that MLflow opens on the first visit."""
    browser.set_window_size(1280, 900)
    browser.get(site.start)
    until(lambda: browser.find_elements(By.CSS_SELECTOR, PANEL), "the panel")
    for text in ("Model training", "depths"):
        click(browser, text)
    until(lambda: is_legible(browser, ANSWER), "the answer")
    browser.find_element(By.CSS_SELECTOR, EXPAND).click()
    [link] = until(lambda: browser.find_elements(By.LINK_TEXT, "members"), "the links below the answer")
    members = link.get_attribute("href")

    page = Page(browser, members)
    until(lambda: page.points("rho vs. kl_top_nats") == len(member_names()) * len(ONSET), "a point each")
    page.keep("mlflow-members")


def test_runs_are_nested(browser: WebDriver, site: Site) -> None:
    page = Page(browser, site.runs_url)
    page.see(["depths"])
    page.expand("depths")
    page.see(["depths", LABELS[3], LABELS[2]])
    page.expand(LABELS[2])
    until(lambda: len(page.names()) > 3, "members of the cell")
    rows = page.rows()
    assert {name for name, _ in rows[3:]} <= member_names()
    indents = [indent for _, indent in rows]
    assert indents[0] < indents[1] == indents[2] < indents[3] == indents[-1]

    page.add_columns("rho", "kl_top_nats")
    until(lambda: "0.5" in page.values("metrics.`rho`"), "numbers in the column rho")
    numbers = zip(page.values("metrics.`rho`")[3:], page.values("metrics.`kl_top_nats`")[3:], strict=True)
    for rho, kl in numbers:
        assert float(kl) == kl_top(2, float(rho))
    page.keep("mlflow-runs")


def test_a_filter_by_rho_and_depth_leaves_the_members_it_names(browser: WebDriver, site: Site) -> None:
    page = Page(browser, site.runs_url)
    page.see(["depths"])
    page.search('params.depth = "3" and metrics.rho > 0.8')
    page.see([LABELS[3]])
    page.expand(LABELS[3])
    until(lambda: len(page.names()) == 7, "the six members with their cell")
    assert set(page.names()[1:]) == member_names((0.85, 0.9, 1.0))
    page.keep("mlflow-filter")
    page.search('tags.rho = "0.500" and params.seed = "1" and metrics.kl_top_nats > 2.2')
    page.see([LABELS[2]])
    page.expand(LABELS[2])
    page.see([LABELS[2], "rho=0.500 seed=1"])


STEPS = [500, 600, 700, 760, 800, 850, 900, 1000]
CURVES = {
    "rgb(0, 114, 178)": (STEPS, [kl_top(2, rho) for rho in RHOS]),
    "rgb(213, 94, 0)": (STEPS, [kl_top(3, rho) for rho in RHOS]),
}


def test_the_address_in_the_report_leads_to_the_curves(browser: WebDriver, site: Site) -> None:
    page = Page(browser, site.curves_url)
    until(lambda: len(page.curves()) == 2, "two curves")
    assert page.curves() == CURVES
    page.keep("mlflow-curves")


def test_the_same_view_as_a_table_has_the_columns_that_matter(browser: WebDriver, site: Site) -> None:
    page = Page(browser, site.curves_url.replace("compareRunsMode=CHART", "compareRunsMode=TABLE"))
    page.see([LABELS[3], LABELS[2]])
    numbers = until(lambda: page.values("metrics.`critical_value`"), "the column rho_c")
    assert [float(number) for number in numbers] == pytest.approx([ONSET[3] - 0.02, ONSET[2] - 0.02])
    assert page.values("metrics.`half_width`") == ["0.003", "0.002"]
    assert page.values("tags.`status`") == ["transition"] * 2
    page.keep("mlflow-thresholds")
