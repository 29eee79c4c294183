"""Claims and how they are decided: evidence with intervals, and a verdict.

A piece of evidence is a number with an interval and the region in which the claim wants it. It *holds*
when the whole interval lies in the region, *does not hold* when all of it lies outside, and there is
*not enough data* otherwise, in particular without an interval: with one seed, or where all seeds agree
exactly. A claim holds when all of its evidence does and does not hold when any piece does not. That is a
test of the claim as a whole at the level of each interval; a single failure among many pieces may be chance.
"""

from dataclasses import dataclass
from math import inf

from analysis.statistics.intervals import Interval

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "not enough data"

STATED = "stated in the appendix"
ABSTRACT = "stated in the paper's abstract"
READ_OFF = "limit read off the published numbers"
OURS = "limit set by this project"
MEASURE = "measure chosen by this project"


@dataclass(frozen=True)
class Region:
    """Where a claim wants a number: between `low` and `high`, the ends included if `closed`."""

    low: float = -inf
    high: float = inf
    closed: bool = False

    def __contains__(self, value: float) -> bool:
        if value in (-inf, inf):  # the end of an interval that has none
            return value in (self.low, self.high)
        return self.low <= value <= self.high if self.closed else self.low < value < self.high

    def __str__(self) -> str:
        if self.low == -inf:
            return f"{'at most' if self.closed else 'below'} {self.high:g}"
        if self.high == inf:
            return f"{'at least' if self.closed else 'above'} {self.low:g}"
        return f"{self.low:g} to {self.high:g}"

    def misses(self, interval: Interval) -> bool:
        """Tell whether a whole interval, with ends, lies on one side outside of the region."""
        assert interval.low is not None
        assert interval.high is not None
        if self.closed:
            return interval.high < self.low or interval.low > self.high
        return interval.high <= self.low or interval.low >= self.high


@dataclass(frozen=True)
class Evidence:
    """One number of a claim: what it is, ours with its interval, and the same of the published numbers.

    `unusable` says why ours cannot decide the claim (another device, unequal budgets); empty otherwise.
    """

    what: str
    ours: Interval | None
    region: Region
    unit: str = ""
    published: float | None = None
    unusable: str = ""

    @property
    def verdict(self) -> str:
        """Whether the number supports the claim."""
        ours = self.ours
        if self.unusable or ours is None or ours.low is None or ours.high is None:
            return UNDECIDED
        if ours.low in self.region and ours.high in self.region:
            return HOLDS
        return FAILS if self.region.misses(ours) else UNDECIDED

    @property
    def why(self) -> str:
        """Why nothing is decided, in a few words; empty where something is."""
        if self.verdict != UNDECIDED:
            return ""
        if self.unusable:
            return self.unusable
        if self.ours is None:
            return "no such runs"
        return self.ours.lack or "the interval reaches over the limit"


@dataclass(frozen=True)
class Claim:
    """A claim about a table or figure: its statement, where it comes from, and its evidence.

    `basis` says whether the appendix states it or the limit is read off its numbers or ours; `missing`
    how to get the run, where there is none.
    """

    statement: str
    basis: str
    evidence: tuple[Evidence, ...]
    missing: str = ""

    @property
    def verdict(self) -> str:
        """Holds, does not hold, or not enough data."""
        verdicts = [piece.verdict for piece in self.evidence]
        if FAILS in verdicts:
            return FAILS
        return HOLDS if verdicts and set(verdicts) == {HOLDS} else UNDECIDED

    @property
    def closest(self) -> Evidence | None:
        """The piece that decides: one that fails, else one undecided, else the nearest to its limit."""
        order = (FAILS, UNDECIDED, HOLDS)
        return min(self.evidence, key=lambda e: (order.index(e.verdict), _room(e)), default=None)


def _room(evidence: Evidence) -> float:
    """How far ours lies from the nearer limit, negative outside; infinite without a number."""
    if evidence.ours is None:
        return inf
    return min(evidence.ours.mean - evidence.region.low, evidence.region.high - evidence.ours.mean)
