"""What holds for all tests: each is of one tier, and CI takes no skip that the machine does not excuse.

A `proof` takes minutes. It runs where it is asked for (`-m proof`); what it proves at length is tested in a
shorter form beside it.
"""

import os
import sys
import zoneinfo
from collections.abc import Generator

import pytest

os.environ.pop("MLFLOW_TRACKING_URI", None)  # else tests would write to the store of whoever runs them

TIERS = ("unit", "process", "browser")
"""Declared in pyproject.toml; a test that names none is a unit test."""

PROOF = "proof"

SHARED = {
    "where": "serial",
    "uninterrupted": "clusters",
    "head": "clusters",
    "trained_runs": "evaluate",
    "last": "models",
}
"""Fixtures that take long to make, each with the name of those tests that one worker takes because of it."""

EXCUSES = (
    "chromium or chromedriver is not installed",
    "a network namespace is refused here",
    "a small file system cannot be mounted here",
    "of memory are free, too few to use some up",
    "OUVAE_DATA names the folder to look in",
    "the project is installed as a copy",
    "this machine has a GPU",
    "this machine has no GPU",
)
"""Words of the reasons for which a test may be skipped even where `CI_STRICT_SKIPS` is 1."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Make a unit test of whatever names no tier, before `-m` chooses; leave proofs to who asks for them.

    With several workers, one takes all that use what is `SHARED`, and all others of a file but unit tests.
    Unit tests come last: they fill the time that is left to the worker that is ready sooner.
    """
    for item in items:
        names = getattr(item, "fixturenames", ())
        group = next((group for name, group in SHARED.items() if name in names), None)
        if any(item.get_closest_marker(tier) for tier in TIERS[1:]):
            group = group or item.path.stem
        elif not item.get_closest_marker(TIERS[0]):
            item.add_marker(TIERS[0])
        if group:
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: item.get_closest_marker(TIERS[0]) is not None)
    if PROOF not in config.option.markexpr:
        proofs = [item for item in items if item.get_closest_marker(PROOF)]
        config.hook.pytest_deselected(items=proofs)
        items[:] = [item for item in items if not item.get_closest_marker(PROOF)]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that is skipped without an excuse."""
    report = yield
    if not hasattr(report, "wasxfail"):
        _fail_unless_excused(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a file that is skipped as a whole without an excuse."""
    report = yield
    _fail_unless_excused(report)
    return report


def _fail_unless_excused(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not report.skipped or os.environ.get("CI_STRICT_SKIPS") != "1":
        return
    _, _, reason = report.longrepr
    if not any(excuse in reason for excuse in EXCUSES):
        report.outcome = "failed"
        report.longrepr = f"{reason}\nCI_STRICT_SKIPS=1, and tests/conftest.py does not excuse this reason"


@pytest.fixture
def without_time_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the time zone database away, as in a slim image."""

    def refuse(name: str) -> None:
        raise zoneinfo.ZoneInfoNotFoundError(f"No time zone found with key {name}")

    monkeypatch.setattr(zoneinfo, "ZoneInfo", refuse)
    monkeypatch.setitem(sys.modules, "pytz", None)
