"""Table 9: the time of an epoch. Replicates are rounds of timing, of which each times every model."""

from functools import partial

from analysis.appendix.claims import OURS, READ_OFF, Claim, Region
from analysis.appendix.exhibit import Exhibit
from analysis.appendix.models import IWAE, OU_VAE, VAE
from analysis.appendix.published import Column, PublishedRow, PublishedTable
from analysis.appendix.runs import PaperRun
from analysis.appendix.table_drawing import Panel, plot_table
from analysis.appendix.table_evidence import Rows

TABLE = PublishedTable(
    columns=(
        Column("seconds", "Time per epoch (s)", "seconds"),
        Column("seconds_ratio", "Relative to the VAE", "seconds", ratio=True),
    ),
    rows=(
        PublishedRow("VAE", {"seconds": 4.2}, VAE, baseline="VAE"),
        PublishedRow("IWAE", {"seconds": 4.4}, IWAE, baseline="VAE"),
        PublishedRow("OU-VAE", {"seconds": 4.6}, OU_VAE, baseline="VAE"),
    ),
    budget="not stated",
    note="Seconds belong to a machine; the ratios are what can be compared.",
)

PANELS = (Panel("seconds_ratio", "time per epoch / VAE's"),)


def claims(run: PaperRun) -> tuple[Claim, ...]:
    """Seconds per epoch: ratios of the same round."""
    rows = Rows(TABLE, run)
    of_iwae = rows.cost_ratio("OU-VAE", "IWAE", "seconds", Region(high=1))
    of_vae = rows.cost_ratio("OU-VAE", "VAE", "seconds", Region(high=1.10, closed=True), on_cuda=True)
    return (
        Claim("An epoch of the OU-VAE takes less time than one of the IWAE.", OURS, (of_iwae,), run.missing),
        Claim(
            "On CUDA an epoch of the OU-VAE takes at most 1.10 times that of the VAE.",
            READ_OFF,
            (of_vae,),
            run.missing,
        ),
    )


EXHIBIT = Exhibit(
    name="table9",
    title="Time per epoch of a 4-layer MLP model on MNIST",
    source="costs",
    table=TABLE,
    claims=claims,
    plot=partial(plot_table, TABLE, PANELS),
)
