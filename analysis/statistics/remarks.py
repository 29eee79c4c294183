"""What the top layer's KL and its information say of one another, in words."""

from collections.abc import Iterable, Mapping
from typing import Any

from analysis.statistics.estimate import ALWAYS_ACTIVE, ALWAYS_COLLAPSED, TRANSITION
from analysis.tables.schema import Row
from ouvae.declared.order_parameters import PAPERS

_ON = (TRANSITION, ALWAYS_ACTIVE)


def remark(row: Row, of_cell: Iterable[Row]) -> str | None:
    """Return how a row of `information_top` departs from that of `kl_top` among those `of_cell`.

    Seeds with a curve are compared one by one, since they share all but rho. None where the two turn on in
    the same step of rho for every seed, where either has nothing to say, and for other order parameters.
    """
    if row["order_parameter"] != "information_top":
        return None
    of_kl = next((one for one in of_cell if one["order_parameter"] == PAPERS), None)
    if of_kl is None:
        return None
    pairs = [
        (kl, known)
        for kl, known in zip(of_kl["seeds"], row["seeds"], strict=True)
        if min(kl["n_members"], known["n_members"]) > 1
    ]
    on = [(kl, known) for kl, known in pairs if kl["status"] in _ON]
    never = sum(known["status"] == ALWAYS_COLLAPSED for _, known in on)
    later = sum(_apart(kl, known) for kl, known in on)
    if not (never or later):
        return None
    parts = [f"at another rho in {later}"] * bool(later) + [f"nowhere in {never}"] * bool(never)
    return (
        f"the KL turns on in {len(on)} of {len(pairs)} seeds, the information {' and '.join(parts)} of them: "
        f"a KL without information is what z_{row['depth']} says of the noise of the layers below"
    )


def _apart(kl: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Tell whether a seed's two thresholds lie in brackets that do not overlap."""
    if TRANSITION not in (kl["status"], known["status"]) or known["status"] not in _ON:
        return False
    if kl["status"] != known["status"]:
        return True
    return bool(known["rho_high"] <= kl["rho_low"] or kl["rho_high"] <= known["rho_low"])
