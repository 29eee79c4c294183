"""A choice of networks with its members, and whether it gives the published picture.

The published picture is a top layer that is alive at the smallest rho and dead at rho = 1, where nothing is
smoothed. Numbers are of the validation split after the last step.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from analysis.appendix.claims import FAILS, OURS, Claim, Evidence, Region
from analysis.appendix.runs import PaperRun
from analysis.statistics.intervals import difference, student
from analysis.tables.schema import Row
from analysis.text.words import lost

ALIVE_NATS = 2.0
"""The published picture: at least this top KL at the smallest rho. Declared before any run."""

DEAD_NATS = 0.5
"""The published picture: at most this top KL at rho = 1. Declared before any run."""


@dataclass(frozen=True)
class Choice:
    """What the appendix does not say of a model."""

    activation: str
    initialisation: str = "torch"
    normalisation: str = "none"
    smoothing: str = "posterior"
    smoothed_networks: tuple[str, ...] = ("generative",)
    kl_warmup: int = 0

    @property
    def label(self) -> str:
        """The activation, and what differs from the usual choice."""
        words = [self.activation]
        words += [f"{self.initialisation} weights"] * (self.initialisation != "torch")
        words += [f"{self.normalisation} normalisation"] * (self.normalisation != "none")
        words += [f"{self.smoothing} form"] * (self.smoothing != "posterior")
        if self.smoothed_networks != ("generative",):
            words.append(f"smoothed {'+'.join(self.smoothed_networks) or 'nothing'}")
        words += [f"KL warm-up of {self.kl_warmup:,} steps"] * (self.kl_warmup > 0)
        return ", ".join(words)

    @property
    def unsmoothed(self) -> "Choice":
        """The choice that has the same members at rho = 1, where nothing is smoothed."""
        return replace(self, smoothing="posterior", smoothed_networks=("generative",))


@dataclass(frozen=True)
class Trained:
    """The members of one choice by rho, and those at rho = 1, which may be of `Choice.unsmoothed`."""

    choice: Choice
    by_rho: Mapping[float, Sequence[Row]]
    plain: Sequence[Row]

    @property
    def smallest(self) -> float:
        """The smallest rho of its members."""
        return min(self.by_rho)

    @cached_property
    def alive(self) -> Evidence:
        """Whether the top KL at the smallest rho is that of the picture."""
        region = Region(low=ALIVE_NATS, closed=True)
        return self._evidence(self.by_rho[self.smallest], self.smallest, region)

    @cached_property
    def dead(self) -> Evidence:
        """Whether the top KL at rho = 1 is that of the picture."""
        return self._evidence(self.plain, 1.0, Region(high=DEAD_NATS, closed=True))

    @cached_property
    def picture(self) -> Claim:
        """Whether the choice gives the picture."""
        return Claim(f"{self.choice.label} gives the picture", OURS, (self.alive, self.dead))

    @property
    def refutation(self) -> Evidence:
        """The number that shows that the choice does not give the picture, if it does not."""
        if self.dead.verdict == FAILS:
            return replace(self.dead, region=Region(low=DEAD_NATS))
        return replace(self.alive, region=Region(high=ALIVE_NATS))

    @property
    def effect(self) -> Evidence:
        """The top KL at the smallest rho minus the one at rho = 1, paired by seed."""
        interval = difference(top_kl(self.by_rho[self.smallest]), top_kl(self.plain))
        return Evidence(
            f"top KL at ρ = {self.smallest:g} minus that at ρ = 1", interval, Region(low=0), "nats"
        )

    def _evidence(self, rows: Sequence[Row], rho: float, region: Region) -> Evidence:
        values = top_kl(rows)
        why = "" if values else lost(Counter(row["status"] for row in rows)).strip(" ()")
        what = f"{self.choice.label}: top KL at ρ = {rho:g}"
        return Evidence(what, student(list(values.values())), region, "nats", unusable=why)


def top_kl(rows: Iterable[Row]) -> dict[int, float]:
    """Return the top KL of the members that have one, by seed."""
    return {row["seed"]: row["kl_top_nats"] for row in rows if row["kl_top_nats"] is not None}


def trained(run: PaperRun) -> dict[Choice, Trained]:
    """Return the choices of a run with their members, in the order of the space."""
    by_choice: dict[Choice, dict[float, list[Row]]] = {}
    for row in run.rows:
        choice = Choice(
            row["activation"],
            row["initialisation"],
            row["normalisation"],
            row["smoothing"],
            tuple(row["smoothed_networks"]),
            row["kl_warmup"],
        )
        by_choice.setdefault(choice, {}).setdefault(row["rho"], []).append(row)
    return {
        choice: Trained(
            choice,
            dict(sorted(by_rho.items())),
            by_rho.get(1.0) or by_choice.get(choice.unsmoothed, {}).get(1.0, []),
        )
        for choice, by_rho in by_choice.items()
    }
