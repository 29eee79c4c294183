"""What is kept of an error, and when one cause ends a sweep."""

from types import SimpleNamespace

import pytest
from pydantic import BaseModel

from ouvae.declared import Cell
from sweeps.errors import LONGEST_GIST, gist, gist_of
from sweeps.retries import FirstPacks
from sweeps.worker.failures import Failure


def raised(how) -> Exception:
    """Return the exception that a function raises."""
    try:
        how()
    except Exception as error:
        return error
    raise AssertionError("it raises nothing")


def chained() -> None:
    try:
        raise ModuleNotFoundError("No module named 'helper'")
    except ModuleNotFoundError as error:
        raise ValueError("the system cannot be used") from error


def silent() -> None:
    raise TimeoutError


def noted() -> None:
    error = RuntimeError("the kernel failed")
    error.add_note("in layer 3")
    raise error


def grouped() -> None:
    raise ExceptionGroup("two workers", [ValueError("bad seed"), KeyError("rho")])


def in_lines() -> None:
    raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.59.0\n    Python: 3.11.7")


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (in_lines, ["Version mismatch", "Ray: 2.59.0 Python: 3.11.7"]),
        (chained, ["the system cannot be used", "from ModuleNotFoundError: No module named 'helper'"]),
        (silent, ["raise TimeoutError", "test_failures.py, line"]),
        (noted, ["the kernel failed", "in layer 3"]),
        (grouped, ["two workers", "ValueError: bad seed", "KeyError: 'rho'"]),
        (lambda: Cell.model_validate({"system": 3}), ["system: "]),
    ],
)
def test_the_reason_of_a_failure_has_the_line_that_says_why(how, expected):
    reason = Failure.of(raised(how)).reason
    assert "\n" not in reason
    for text in expected:
        assert text in reason


def test_a_validation_error_is_its_problems_and_no_count_of_them():
    class Settings(BaseModel):
        steps: int

    said = gist(raised(lambda: Settings(steps="many")))
    assert said.startswith("steps: Input should be a valid integer")
    assert "validation error" not in said


QUOTED = """\
The actor died because of an error raised in its creation task:
  File "/a/b.py", line 3, in __init__
    import nothere
    ^^^^^^^^^^^^^^
\x1b[31mModuleNotFoundError\x1b[0m: No module named 'nothere'
"""


def test_of_a_quoted_traceback_the_exception_at_its_end_is_kept():
    assert gist_of(QUOTED) == (
        "The actor died because of an error raised in its creation task: "
        "ModuleNotFoundError: No module named 'nothere'"
    )
    assert (
        gist_of('Traceback (most recent call last):\n  File "x", line 1\nOSError: full\n') == "OSError: full"
    )


def test_a_long_text_keeps_both_of_its_ends():
    said = gist_of("the start " + 5000 * "x" + " the end")
    assert len(said) <= LONGEST_GIST
    assert said.startswith("the start")
    assert said.endswith("the end")


def pack(name: str, cell: str = "c", size: int = 1) -> SimpleNamespace:
    return SimpleNamespace(pack_id=name, cell=SimpleNamespace(cell_id=cell), points=size * [None])


ERROR, LOST = Failure("error", "no kernel on node 7"), Failure("lost", "died")


def begun(cells: int, slots: int, *packs: SimpleNamespace) -> FirstPacks:
    """Return the watch over packs that are in training."""
    first = FirstPacks(cells)
    for each in packs:
        first.begin(each, slots)
    return first


class TestFirstPacks:
    def test_one_cause_for_all_of_them_is_seen(self):
        first = begun(1, 2, pack("a"), pack("b"))
        assert not first.failed(pack("a"), ERROR)
        assert not first.share_a_cause(others=True)
        assert first.failed(pack("b"), Failure("error", "no kernel on node 12")), "the same but for a number"
        assert first.share_a_cause(others=True)

    def test_a_first_pack_in_training_may_yet_train(self):
        first = begun(1, 3, pack("a"), pack("b"), pack("c"))
        first.failed(pack("a"), ERROR)
        first.failed(pack("b"), ERROR)
        assert not first.share_a_cause(others=True)

    def test_another_cause_or_a_step_ends_the_watch(self):
        first = begun(1, 2, pack("a"), pack("b"))
        first.failed(pack("a"), ERROR)
        assert not first.failed(pack("b"), Failure("error", "odd"))
        assert not first.share_a_cause(others=False)
        first = begun(1, 2, pack("a"), pack("b"))
        first.failed(pack("a"), ERROR)
        first.trained()
        assert not first.failed(pack("b"), ERROR)
        assert not first.share_a_cause(others=False)

    def test_a_cell_does_not_stand_for_the_others(self):
        first = begun(2, 2, pack("a"), pack("b"))
        first.failed(pack("a"), ERROR)
        first.failed(pack("b"), ERROR)
        assert not first.share_a_cause(others=True)
        first.failed(pack("d", "other cell"), ERROR)
        assert first.share_a_cause(others=True)

    def test_an_only_pack_shows_it_at_its_second_attempt(self):
        first = begun(1, 1, pack("a"))
        first.failed(pack("a"), ERROR)
        assert not first.share_a_cause(others=False)
        first.failed(pack("a"), ERROR)
        assert first.share_a_cause(others=False)
        assert not first.share_a_cause(others=True), "another pack may train"

    def test_workers_may_die_by_chance_once(self):
        first = begun(1, 2, pack("a"), pack("b"))
        for name in ("a", "b"):
            first.failed(pack(name), LOST)
        assert not first.share_a_cause(others=False)
        for name in ("a", "b"):
            first.failed(pack(name), LOST)
        assert first.share_a_cause(others=False)

    def test_halves_take_the_place_of_a_pack_that_is_too_large(self):
        memory = Failure("memory", "too large")
        first = begun(1, 1, pack("ab", size=2))
        first.failed(pack("ab", size=2), memory)
        for name in ("a", "b"):
            first.begin(pack(name), 1)
            first.failed(pack(name), memory)
        assert not first.share_a_cause(others=False)
        first.failed(pack("a"), memory)
        assert first.share_a_cause(others=False)
