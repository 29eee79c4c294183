"""The keys of a space that say how its packs run: devices, resources, saved states, tracking, costs."""

from typing import Annotated, Literal

from pydantic import Field

from ouvae.declared.keys import NotNegative, Positive, PositiveNumber, Strict, Whole, key

MOST_TRACKED = 5_000
"""Maximum number of members that `track: auto` makes runs in MLflow."""


class Costs(Strict):
    """Settings of measuring the costs of members: seconds an epoch, memory, parameters.

    Attributes:
        rounds: rounds of timing, in which members take turns; 0 counts parameters and memory only.
        steps: training steps in a round.
    """

    rounds: Whole
    steps: Positive = 20


class RunningKeys(Strict):
    """The keys of running packs."""

    device: Literal["auto", "cpu", "cuda"] = key(
        "training device; `auto` takes GPUs if the cluster has any. The kind of device is part of a member's "
        "identity",
        default="auto",
        unit="none",
    )
    cpus_per_pack: Positive = key("CPUs that a pack requests from Ray", default=1)
    gpus_per_pack: Annotated[float, Field(gt=0, le=1)] = key(
        "share of a GPU that a pack requests from Ray, on `cuda` only", default=1.0
    )
    pack_size: Positive | None = key(
        "maximum number of members in a pack; null chooses by the device", default=None
    )
    checkpoint_minutes: NotNegative = key(
        "time between two saved states of a pack in training; 0 saves none", default=5.0, unit="min"
    )
    save_weights: Literal["none", "last", "best"] = key(
        "members' weights to keep, in a file for each pack: `none`, the `last`, or the `best` by validation "
        "ELBO, which needs `select: best`",
        default="none",
        unit="none",
    )
    save_images: Literal["first_seed", "none"] = key(
        "images to keep for the sheet of each cell: reconstructions, samples and the top layer traversed, of "
        "the members of the initial grid with the `first_seed`, or `none`",
        default="first_seed",
        unit="none",
    )
    wait_minutes: NotNegative = key(
        "maximum wait for a node with free resources for a pack", default=10.0, unit="min"
    )
    grace_seconds: PositiveNumber = key(
        "time from SIGINT, SIGTERM or SIGHUP to the end, in which packs save their states",
        default=25.0,
        unit="s",
    )
    evaluation_gib: PositiveNumber = key(
        "memory for a pack's evaluation of L_k, which works in chunks", default=1.0, unit="GiB"
    )
    track: Literal["auto", "members", "cells", "sweep"] = key(
        "runs in MLflow: `members` and their cells, `cells` only, or the `sweep` only; the tables are always "
        f"files of the sweep's run. `auto` is members for up to {MOST_TRACKED:,} members, else cells",
        default="auto",
        unit="none",
    )
    costs: Costs | None = key(
        "`rounds` and `steps` for measuring seconds an epoch, memory and parameters; null measures nothing",
        default=None,
        unit="none",
    )
