"""Pictures of a sweep in MLflow's UI, for docs/start.md.

python sweeps/phase_transition.py --space linear_control
python benchmarks/mlflow_pages.py linear_control --store runs --into docs

A new user's browser opens the start page, and then each page that the experiment's description links.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.expected_conditions import (
    element_to_be_clickable,
    presence_of_element_located,
)
from selenium.webdriver.support.wait import WebDriverWait

from sweeps.tracking.uri import default_uri, ui_command, ui_port

SIZE = (1280, 900)
"""Pixels of the window."""

WAIT_SECONDS = 120

PAGES = {
    "thresholds": "[role=row] [col-id^='metrics']",
    "curves": ".scatterlayer .js-line",
    "members": ".scatterlayer .point",
}
"""Text of each link in the description, and what its page shows once it is drawn."""

_CLOSE = "[data-component-id='mlflow.assistant.chat_panel.close']"
_EXPAND = "[data-component-id='mlflow.experiment.metadata_editor.expand_button']"


@contextmanager
def served(uri: str) -> Iterator[str]:
    """Serve a store as its user does; yield the address of the start page."""
    command = [sys.executable, "-m", *shlex.split(ui_command(uri))]
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    nothing = subprocess.DEVNULL
    server = subprocess.Popen(
        command, env=os.environ | settings, stdout=nothing, stderr=nothing, start_new_session=True
    )
    try:
        yield f"http://127.0.0.1:{ui_port()}/"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@contextmanager
def new_browser() -> Iterator[WebDriver]:
    """Run a browser without a window and without a history."""
    options = webdriver.ChromeOptions()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for argument in ("--headless=new", "--no-sandbox", f"--user-data-dir={folder}"):
            options.add_argument(argument)
        browser = webdriver.Chrome(options)
        browser.set_window_size(*SIZE)
        try:
            yield browser
        finally:
            browser.quit()


def take(browser: WebDriver, start: str, experiment: str, folder: Path) -> None:
    """Go from the start page to each page of an experiment's latest sweep, and keep pictures of them."""
    wait = WebDriverWait(browser, WAIT_SECONDS, ignored_exceptions=[WebDriverException])

    def is_open(_: WebDriver) -> bool:
        browser.get(start)
        return True

    def click(by: str, place: str) -> None:
        wait.until(element_to_be_clickable((by, place))).click()

    wait.until(is_open)
    wait.until(presence_of_element_located((By.CSS_SELECTOR, _CLOSE)))
    for text in ("Model training", experiment):
        click(By.XPATH, f"//*[normalize-space(text())='{text}']")
    for part in (_EXPAND, "[role=row] a"):  # the page before has rows too
        wait.until(presence_of_element_located((By.CSS_SELECTOR, part)))
    browser.save_screenshot(str(folder / "mlflow_answer.png"))
    click(By.CSS_SELECTOR, _CLOSE)
    click(By.CSS_SELECTOR, _EXPAND)
    links = [wait.until(presence_of_element_located((By.LINK_TEXT, text))) for text in PAGES]
    addresses = [link.get_attribute("href") for link in links]
    for (text, drawn), address in zip(PAGES.items(), addresses, strict=True):
        browser.switch_to.new_window("tab")  # in which the description is folded
        browser.get(str(address))
        wait.until(presence_of_element_located((By.CSS_SELECTOR, drawn)))
        browser.save_screenshot(str(folder / f"mlflow_{text}.png"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("space", help="name of the space: MLflow's experiment")
    add("--store", type=Path, default=Path("runs"), help="folder of mlflow.db, default runs")
    add("--into", type=Path, default=Path("docs"), help="folder of the pictures, default docs")
    given = parser.parse_args(arguments)
    given.into.mkdir(parents=True, exist_ok=True)  # the browser would write nothing, and not say so
    with served(default_uri(given.store)) as start, new_browser() as browser:
        take(browser, start, given.space, given.into)


if __name__ == "__main__":
    main()
