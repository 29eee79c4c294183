"""Every test is of one tier, and a skip that the machine does not excuse fails where CI asks."""

import shutil
import tomllib
from pathlib import Path

import pytest

from tests.conftest import EXCUSES, PROOF, TIERS

TESTS = Path(__file__).parent
ROOT = TESTS.parent

OF_EVERY_TIER = """
import pytest

def test_plain(): ...

@pytest.mark.process
def test_long(): ...

@pytest.mark.browser
def test_page(): ...

@pytest.mark.process
@pytest.mark.proof
def test_at_length(): ...
"""

SHARING = """
import pytest

@pytest.fixture
def head(): ...

@pytest.mark.process
@pytest.mark.parametrize("number", range(8))
def test_with_head(head, number): ...

@pytest.mark.process
def test_without(): ...
"""

SKIPPED = {
    "in the test": "import pytest\ndef test_one(): pytest.skip({reason!r})\n",
    "in a fixture": (
        "import pytest\n@pytest.fixture\ndef one(): pytest.skip({reason!r})\ndef test_one(one): ...\n"
    ),
    "by a mark": "import pytest\n@pytest.mark.skipif(True, reason={reason!r})\ndef test_one(): ...\n",
    "as a file": "import pytest\npytest.skip({reason!r}, allow_module_level=True)\n",
}


@pytest.fixture
def run_tests(pytester, monkeypatch):
    """Run the tests in a text by themselves, with this project's settings and tests/conftest.py."""
    pytester.makepyprojecttoml((ROOT / "pyproject.toml").read_text())
    (pytester.path / "tests").mkdir()
    shutil.copy(TESTS / "conftest.py", pytester.path / "tests")

    def run(text: str, *arguments: str, strict: str = "0") -> pytest.RunResult:
        (pytester.path / "tests" / "test_made.py").write_text(text)
        monkeypatch.setenv("CI_STRICT_SKIPS", strict)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)

    return run


@pytest.mark.parametrize("tier", TIERS)
def test_each_tier_runs_by_itself(run_tests, tier):
    run_tests(OF_EVERY_TIER, "-m", tier).assert_outcomes(passed=1, deselected=3)


def test_proofs_run_where_they_are_asked_for(run_tests):
    run_tests(OF_EVERY_TIER).assert_outcomes(passed=3, deselected=1)
    run_tests(OF_EVERY_TIER, "-m", PROOF).assert_outcomes(passed=1, deselected=3)
    run_tests(OF_EVERY_TIER, "-m", f"process and {PROOF} or unit").assert_outcomes(passed=2, deselected=2)


def test_one_worker_takes_all_that_share_a_fixture(run_tests):
    done = run_tests(SHARING, "-n", "2", "-v")
    done.assert_outcomes(passed=9)
    workers = {line.split("]")[0] for line in done.outlines if "PASSED" in line and "test_with_head" in line}
    assert len(workers) == 1


def test_the_tiers_are_those_that_are_declared():
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert [mark.partition(":")[0] for mark in options["markers"]] == [*TIERS, PROOF]


@pytest.mark.parametrize("text", SKIPPED.values(), ids=SKIPPED)
def test_a_skip_without_an_excuse_fails_where_ci_asks(run_tests, text):
    skips = text.format(reason="too lazy today")
    run_tests(skips).assert_outcomes(skipped=1)
    done = run_tests(skips, strict="1")
    assert done.ret in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)
    done.stdout.fnmatch_lines(
        ["*too lazy today", "CI_STRICT_SKIPS=1, and tests/conftest.py does not excuse *"]
    )


@pytest.mark.parametrize("text", SKIPPED.values(), ids=SKIPPED)
def test_an_excused_skip_does_not(run_tests, text):
    done = run_tests(text.format(reason=f"{EXCUSES[0]}, sorry"), strict="1")
    done.assert_outcomes(skipped=1)
    assert done.ret in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


def test_an_expected_failure_is_no_skip(run_tests):
    expected = "import pytest\n@pytest.mark.xfail\ndef test_one(): assert False\n"
    run_tests(expected, strict="1").assert_outcomes(xfailed=1)


@pytest.mark.parametrize("excuse", EXCUSES)
def test_every_excuse_is_one_that_a_test_gives(excuse):
    others = [path for path in TESTS.rglob("*.py") if path.name != "test_tiers.py"]
    others.remove(TESTS / "conftest.py")
    assert any(excuse in path.read_text() for path in others)


def test_ci_asks():
    assert "CI_STRICT_SKIPS=1 pytest" in (ROOT / ".ci/run").read_text()
