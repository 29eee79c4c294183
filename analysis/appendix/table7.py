"""Table 7: active units of a Hermite VAE and of a VAE, with one layer each."""

from functools import partial

from analysis.appendix.claims import READ_OFF, STATED, Claim
from analysis.appendix.exhibit import Exhibit
from analysis.appendix.published import BOUND_NOTE, Column, PublishedRow, PublishedTable
from analysis.appendix.runs import PaperRun
from analysis.appendix.table_drawing import Panel, plot_table
from analysis.appendix.table_evidence import Rows

TABLE = PublishedTable(
    columns=(
        Column("bound", "V. ELBO (nats)", "bound"),
        Column("elbo", "ELBO (nats)", "elbo"),
        Column("active", "Active units", "active"),
    ),
    rows=(
        PublishedRow("VAE", {"bound": -89.7, "active": (18,)}, {"system": "vae", "rho": 1.0}),
        PublishedRow("HVAE", {"bound": -85.1, "active": (31,)}, {"system": "hermite"}),
    ),
    budget="1,000,000 steps",
    note="The appendix names no L_k here, so that our ELBO stands beside our L_k. " + BOUND_NOTE,
)

PANELS = (Panel("active", "active units"), Panel("bound", "bound (nats)"))


def claims(run: PaperRun) -> tuple[Claim, ...]:
    """The Hermite VAE against the VAE: active units of the one layer, and the bound, paired by seed."""
    rows = Rows(TABLE, run)
    found = []
    for key, words, unit, basis in (
        ("active", "more active units", "units", STATED),
        ("bound", "a better bound", "nats", READ_OFF),
    ):
        statement = f"The Hermite VAE has {words} than the VAE (differences of the same seed)."
        found.append(Claim(statement, basis, (rows.difference("HVAE", "VAE", key, unit),), run.missing))
    return tuple(found)


EXHIBIT = Exhibit(
    name="table7",
    title="Active units of a Hermite VAE and of a VAE with one layer of 64 units, dynamic MNIST",
    table=TABLE,
    claims=claims,
    plot=partial(plot_table, TABLE, PANELS),
)
