"""Table 9: the time of an epoch. A replicate is a round of timing; each round times every model."""

from analysis.appendix.charts import Panel
from analysis.appendix.claims import READ_OFF, Claim, Region
from analysis.appendix.exhibit import Exhibit
from analysis.appendix.matching import IWAE, OU_VAE, VAE
from analysis.appendix.published import Column, PublishedRow, PublishedTable
from analysis.appendix.runs import PaperRun
from analysis.appendix.table_evidence import Rows
from analysis.appendix.text import evidence_text

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


def claims(run: PaperRun) -> tuple[Claim, ...]:
    """Seconds per epoch: the ratio to the VAE's in the same round."""
    limit = Region(high=1.10, closed=True)
    of_vae = Rows(TABLE, run).cost_ratio("OU-VAE", "VAE", "seconds", limit, on_cuda=True)
    statement = (
        "On CUDA an epoch of the OU-VAE takes at most 1.10 times as long as one of the VAE, as printed."
    )
    return (Claim(statement, READ_OFF, (of_vae,)),)


def words(run: PaperRun) -> list[str]:
    """Compare the OU-VAE's time per epoch with the IWAE's, as printed and as we measured it."""
    of_iwae = Rows(TABLE, run).cost_ratio("OU-VAE", "IWAE", "seconds", Region())
    if of_iwae.ours is None or of_iwae.published is None:
        return []
    return [
        f"As printed, an epoch of the OU-VAE takes {of_iwae.published:.2f} times as long as one of the IWAE. "
        f"Ours takes {evidence_text(of_iwae)} times as long, measured on {run.rows[0]['device']}."
    ]


EXHIBIT = Exhibit(
    name="table9",
    title="Time per epoch of a 4-layer MLP model on MNIST",
    source="costs",
    table=TABLE,
    panels=(Panel("seconds_ratio", "time per epoch / VAE's"),),
    claims=claims,
    words=words,
)
