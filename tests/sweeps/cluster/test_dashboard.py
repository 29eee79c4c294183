"""The dashboard of a local Ray: whether it can be had."""

import os
import re
from importlib import metadata

import pytest

from sweeps import SweepError
from sweeps.cluster import dashboard


def test_a_dashboard_is_of_a_local_ray_alone():
    for address in ("auto", "serial"):
        with pytest.raises(
            SweepError, match=rf"--dashboard with --address {address}: .* leave one of the two"
        ):
            dashboard.check(address)


@pytest.mark.parametrize("lacking", [(), ("colorful", "opencensus")])
def test_a_dashboard_whose_packages_are_missing_is_refused_with_the_mend(monkeypatch, lacking):
    def version(name: str) -> str:
        if name in lacking:
            raise metadata.PackageNotFoundError(name)
        return "1"

    declared = ["click>=7", 'opencensus; extra == "default"', 'pandas; extra == "tune"']
    declared += [
        f'{name}>=1; python_version < "3.12" and extra == "default"' for name in ("colorful", "aiohttp")
    ]
    monkeypatch.setattr(metadata, "requires", {"ray": declared}.get)
    monkeypatch.setattr(metadata, "version", version)
    if not lacking:
        dashboard.check(None)
        return
    mend = re.escape(
        "are not installed (colorful, opencensus); install them with pip install -c constraints.txt"
    )
    with pytest.raises(SweepError, match=mend):
        dashboard.check(None)


def test_ray_declares_what_its_dashboard_needs():
    """Else nothing would ever be missing."""
    assert {"aiohttp_cors", "opencensus"} <= dashboard.needed()


def test_the_token_of_a_dashboard_is_not_printed(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "s3cret")
    line = dashboard.notice("127.0.0.1:8265", tmp_path)
    assert line.startswith("Ray's dashboard: http://127.0.0.1:8265, ")
    assert "s3cret" not in line
    assert (tmp_path / "dashboard_token").read_text().strip() == os.environ["RAY_AUTH_TOKEN"]
