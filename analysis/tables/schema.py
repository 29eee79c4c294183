"""The contract between sweeps and analysis: the columns of the tables of a run.

`members.parquet` has a row per member (one trained model: a cell, a value of its control parameter and a
seed), `history.parquet` a
row per member and evaluation, `thresholds.parquet` a row per cell and order parameter. A run that measures
time and memory has `costs.parquet`, a row per cell and value. A run that keeps images has a file of the table
`sheets` per cell, a row per member that was drawn.

The columns of a cell's keys and of the metrics follow from their declarations in `ouvae.declared`; a key or
metric that is added asks for no other version, since readers fill in what an older table lacks.

Each field carries two metadata entries: `unit` (`nats`, `steps`, `s`, `bytes`, `layers`, `1` for
other numbers and counts, `none` for names, labels and dates) and `description`. A field that may be null
says when; every other field is declared not nullable. The metadata of a schema itself hold
`schema_version` and `table`, the name of the table.

Lists with an entry per layer go from z_1, the latent layer next to the data, to z_L, the top. The
paper lists active units the other way round, top to bottom.
"""

from collections.abc import Mapping
from types import NoneType
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin

import pyarrow as pa

from ouvae.declared import CONTROLS, METRICS, TEST_METRICS, Cell, Key, Metric, keys_of

Row: TypeAlias = Mapping[str, Any]
"""A row of a table in plain values, by column."""

VERSIONS = {
    "members": "5",
    "history": "5",
    "thresholds": "7",
    "comparisons": "7",
    "costs": "5",
    "sheets": "1",
}
"""Version of each schema. Members, history and costs of version 4 are read too (`analysis.tables.earlier`);
thresholds and comparisons follow from members."""

SPLIT_IMAGES = ("train_images", "validation_images", "test_images")
"""How many images the splits of a data set have, as it was loaded."""

LOST = ("diverged", "failed")
"""The statuses of a member that has no metrics: its loss was not finite, or it could not be trained."""


def _field(name: str, dtype: pa.DataType, unit: str, description: str, null: str = "") -> pa.Field:
    """Return a field that may be null if `null` says when."""
    text = f"{description}; null {null}" if null else description
    return pa.field(name, dtype, nullable=bool(null), metadata={"unit": unit, "description": text})


def _label(name: str, description: str, null: str = "") -> pa.Field:
    return _field(name, pa.string(), "none", description, null)


def _number(name: str, description: str, null: str = "") -> pa.Field:
    return _field(name, pa.float64(), "1", description, null)


def _count(name: str, description: str, null: str = "") -> pa.Field:
    return _field(name, pa.int32(), "1", description, null)


def _steps(name: str, description: str, null: str = "") -> pa.Field:
    return _field(name, pa.int64(), "steps", description, null)


def _list(dtype: pa.DataType) -> pa.DataType:
    """A list whose items have the name that parquet gives them, so that files keep the schema."""
    return pa.list_(pa.field("element", dtype))


def _schema(table: str, *fields: pa.Field) -> pa.Schema:
    return pa.schema(fields, metadata={"schema_version": VERSIONS[table], "table": table})


def _arrow_type(annotation: Any, unit: str) -> pa.DataType:
    """Return the column type of a declared type; integers of steps are wide."""
    if get_origin(annotation) is Annotated:
        return _arrow_type(get_args(annotation)[0], unit)
    if get_origin(annotation) is tuple:
        return _list(_arrow_type(get_args(annotation)[0], unit))
    if get_origin(annotation) is Literal or annotation is str:
        return pa.string()
    if annotation is float:
        return pa.float64()
    if annotation is int:
        return pa.int64() if unit == "steps" else pa.int32()
    (present,) = [part for part in get_args(annotation) if part is not NoneType]
    return _arrow_type(present, unit)


def _key_field(key: Key, null_if_swept: bool = False) -> pa.Field:
    description, _, null = key.description.partition("; null ")
    if null_if_swept and key.control is not None:
        null = " or ".join(filter(None, [null, "for the control parameter"]))
    if NoneType in get_args(key.annotation):
        null = null or "if it does not apply"
    elif key.of is not None:
        neutral = key.neutral if isinstance(key.neutral, str) else f"{key.neutral:g}"
        description += f"; {neutral} if it does not apply"
    return _field(key.name, _arrow_type(key.annotation, key.unit), key.unit, description, null)


def _metric_field(metric: Metric, lost: str) -> pa.Field:
    """Return the column of a metric, which is null where `lost` says and where it is not measured."""
    dtype = pa.int64() if metric.unit == "steps" else pa.int32() if metric.whole else pa.float64()
    description = metric.description
    if metric.per_layer or metric.per_unit:
        dtype = _list(dtype)
        description += ", z_1 first" if metric.per_layer else ", the largest first"
    if metric.undefined:
        description += f"; {'an entry is ' * metric.per_layer}null where {metric.undefined}"
    null = f"where {metric.condition}, and {lost}" if metric.condition else lost
    return _field(metric.name, dtype, metric.unit, description, null)


_CELL = [
    *(_key_field(key) for key in keys_of(Cell).values()),
    _field("depth", pa.int32(), "layers", "number L of latent layers"),
]
"""The keys of a cell, and what follows from them. The control parameter has the member's value."""

_CURVE = [
    *(_key_field(key, null_if_swept=True) for key in keys_of(Cell).values()),
    _field("depth", pa.int32(), "layers", "number L of latent layers"),
]
"""The keys that all members of a cell share."""

_CONTROL = [
    _label("control", f"control parameter, the key in which members of a cell differ: {', '.join(CONTROLS)}"),
    _number("value", "value of the control parameter"),
]

_MACHINE = {
    "processor": "name of the CPU or GPU that trained the member; several, if its pack moved, joined by `; `",
    "cpu_features": "features of that machine's CPU, by which PyTorch, MKL and oneDNN choose their code",
    "library_versions": "versions of the libraries, besides PyTorch, that computed the member's numbers",
}

_EXACT = pa.struct(
    [
        _label("order_parameter", "name of the order parameter"),
        _number("value", "critical value by its closed form"),
    ]
)

MEMBERS = _schema(
    "members",
    _label("member_id", "hash of everything that determines the numbers of this member"),
    _label("space", "name of the search space that was swept"),
    _label(
        "cell_id",
        "hash of the cell: everything that identifies a member except its value and seed",
    ),
    _label("cell", "readable label of the cell, e.g. `digits mlp 16,16`"),
    _label("data_digest", "hash of the arrays of the data set"),
    *(
        _count(
            name,
            f"images in the {split} split of the loaded data set, before eval_images or bound_images "
            "limits them",
            null="in rows of older versions of the project",
        )
        for name, split in zip(SPLIT_IMAGES, ("training", "validation", "test"), strict=True)
    ),
    _label(
        "code_digest",
        "hash of the files of your own system and data set",
        null="for those that ship with the project",
    ),
    *_CELL,
    *_CONTROL,
    _field(
        "seed",
        pa.int64(),
        "none",
        "realisation of weights, minibatches and noise, shared by all values of a curve",
    ),
    _label("device", "kind of device that trained the member: cpu or cuda"),
    _number(
        "critical_exact",
        "critical value of the cell's top-layer KL by its closed form",
        null="if no closed form is known",
    ),
    _field(
        "critical_exact_of",
        _list(_EXACT),
        "1",
        "critical values by closed forms, an entry an order parameter that has one",
        null="in rows of older versions",
    ),
    _label(
        "status", "`completed`; `diverged`: a loss was not finite; `failed`: the member could not be trained"
    ),
    _steps(
        "diverged_at_step",
        "first step at which the divergence was noticed",
        null="unless the status is `diverged`",
    ),
    _label("failure", "reason of the failure, in one line", null="unless the status is `failed`"),
    *(_metric_field(metric, "for a member that diverged or failed") for metric in METRICS + TEST_METRICS),
    _field(
        "parameters",
        pa.int64(),
        "1",
        "number of trained parameters of the member",
        null="for a member that failed",
    ),
    _count("pixels", "number of dimensions of an observation; bits per dimension are nats / (pixels ln 2)"),
    _field(
        "seconds",
        pa.float64(),
        "s",
        "training time of the member's pack divided by its number of members; 0 for a member that failed",
    ),
    _label("pack_id", "name of the pack in which the member was trained"),
    _count("pack_members", "number of members in this pack"),
    _field(
        "finished_at",
        pa.timestamp("ms", tz="UTC"),
        "none",
        "time at which the member's pack finished, failed permanently, or was measured again",
    ),
    _count(
        "numerics_version",
        "version of the numerics, raised by every change of numbers; if only some metrics of a member "
        "were measured again, the version of the others",
    ),
    _label("project_version", "version of the project that trained the member, or measured it again"),
    _label("torch_version", "version of PyTorch that trained the member", null="for a member that failed"),
    _label("python_version", "version of Python that trained the member", null="for a member that failed"),
    *(
        _label(name, words, null="in rows of older versions, and null for a member that failed")
        for name, words in _MACHINE.items()
    ),
    _label(
        "commit",
        "commit of the project, with `-dirty` if files had changed",
        null="outside of the project's own repository (`unknown` in rows of older versions)",
    ),
)
"""A row per member: what it is, how it was trained and what came out."""

HISTORY = _schema(
    "history",
    _label("member_id", "the member, as in the members table"),
    _label("cell_id", "the member's cell, as in the members table"),
    _number("value", "value of the member's control parameter"),
    _field("seed", pa.int64(), "none", "realisation of weights, minibatches and noise"),
    _steps("step", "optimizer steps taken before this evaluation"),
    *(_metric_field(metric, "where it was not finite") for metric in METRICS),
)
"""A row per member and evaluation during training, on the validation split."""

_SEED_THRESHOLD = pa.struct(
    [
        _field("seed", pa.int64(), "none", "the realisation with this threshold"),
        _label(
            "status",
            "`transition`; `always_active` or `always_collapsed` at all trained values; `unresolved` without "
            "a usable member",
        ),
        _count("n_members", "number of usable members of the seed; 1 is a probe"),
        _number(
            "critical_value",
            "middle of the bracket of the seed's threshold",
            null="unless its status is `transition`",
        ),
        _number("low", "lower bound of the seed's threshold", null="if there is none"),
        _number("high", "upper bound of the seed's threshold", null="if there is none"),
        _number(
            "jump",
            "rise of the order parameter from the collapsed to the active end of the bracket, in its unit",
            null="unless the status is `transition`",
        ),
    ]
)


def _spread(side: str, words: str) -> list[pa.Field]:
    """Return the columns of the scale of the realisations on one side of the critical value."""
    name = f"spread_{side}"
    null = "unless status is `transition`"
    return [
        _number(name, f"scale of the realisations' thresholds {words} the critical value", null),
        _number(f"{name}_low", f"lower end of the interval of {name}", null),
        _number(f"{name}_high", f"upper end of the interval of {name}", null),
    ]


THRESHOLDS = _schema(
    "thresholds",
    _label("space", "name of the search space that was swept"),
    _label("cell_id", "the cell, as in the members table"),
    _label("cell", "readable label of the cell, e.g. `digits mlp 16,16`"),
    *_CURVE,
    _label("control", "control parameter, the key in which members of the cell differ"),
    _label("scale", "scale of the control parameter: `linear` or `log`"),
    _label("order_parameter", "metric that distinguishes the phases, e.g. `kl_top` or `information_top`"),
    _label("rule", "kind of active_from: `absolute`, or `half_plateau`, half of the curve's plateau"),
    _number("active_from", "minimum of the order parameter, in its unit, at which a member is active"),
    _label(
        "collapsed_side",
        "end of the control parameter at which the order parameter is below active_from: `high` or `low`",
    ),
    _number(
        "critical_value",
        "critical value of the cell: the median of the realisations' thresholds, at which half of them "
        "are active",
        null="unless status is `transition`",
    ),
    _number(
        "critical_low",
        "lower end of the interval of the critical value, or one-sided lower bound",
        null="if the interval is open there",
    ),
    _number(
        "critical_high",
        "upper end of the interval of the critical value, or one-sided upper bound",
        null="if the interval is open there",
    ),
    _number(
        "half_width",
        "half the width of the critical value's interval, in decades on a log scale",
        null="if the interval is open at an end",
    ),
    _number(
        "half_width_asked",
        "half_width at which the search stops unless it reaches max_members first",
        null="if no search locates this order parameter",
    ),
    *_spread("left", "below"),
    *_spread("right", "above"),
    *(
        _number(
            name,
            f"g = rho^2 + (1 - rho^2)/K at {of}, the share of the noise's variance that remains in a "
            "linear network",
            null=f"if {of} is null, the smoothing has no g, or the control parameter is not rho",
        )
        for name, of in (
            ("g_c", "critical_value"),
            ("g_c_low", "critical_low"),
            ("g_c_high", "critical_high"),
        )
    ),
    _number("confidence", "nominal coverage of intervals and one-sided bounds"),
    _number(
        "jump",
        "rise of the order parameter across the bracket of a seed, in its unit, averaged over seeds "
        "with a transition",
        null="if no seed has a transition",
    ),
    _number("critical_exact", "critical value by its closed form", null="if no closed form is known"),
    _count("n_seeds", "number of seeds of the cell"),
    _count("n_resolved", "number of seeds whose threshold lies between two of their members"),
    _count("n_members", "number of members of the cell, including diverged and failed ones"),
    _count("n_diverged", "number of diverged members, which the estimate omits"),
    _count("n_failed", "number of members that could not be trained, which the estimate omits"),
    _label(
        "status",
        "`transition`; `always_active` or `always_collapsed` if the critical value lies beyond all that was "
        "trained; "
        "`unresolved` without a usable member",
    ),
    _label(
        "remark",
        "how the information of the top layer departs from its KL, in words",
        null="if it does not, and for other order parameters",
    ),
    _label("method", "method by which the critical value and its interval are estimated"),
    _field("seeds", _list(_SEED_THRESHOLD), "none", "one entry per seed, with its threshold"),
)
"""A row per cell and order parameter: its critical value with an interval, and its seeds' thresholds."""

COMPARISONS = _schema(
    "comparisons",
    _label("space", "name of the search space that was swept"),
    _label("control", "control parameter, as in the thresholds table"),
    _label("scale", "scale of the control parameter: `linear` or `log`"),
    _label("order_parameter", "the order parameter, as in the thresholds table"),
    _label(
        "differs_in",
        "the only difference between the two cells: a key of a cell, `size` of the latents at one "
        "depth, or `depth` at one size",
    ),
    _label("first_cell_id", "the first cell, as in the members table"),
    _label("first_cell", "readable label of the first cell"),
    _label("second_cell_id", "the second cell, as in the members table"),
    _label("second_cell", "readable label of the second cell"),
    _number(
        "difference",
        "critical value of the first cell minus that of the second, in decades on a log scale",
        null="if either may lie anywhere",
    ),
    _number(
        "difference_low", "lower end of the interval of difference, for this pair only", null="if it is open"
    ),
    _number(
        "difference_high", "upper end of the interval of difference, for this pair only", null="if it is open"
    ),
    _number("confidence", "nominal coverage of the interval; the level of the tests is one minus this"),
    _number(
        "p_different",
        "p-value of no difference, corrected for all comparisons of the order parameter (Holm)",
        null="if either cell has no usable member",
    ),
    _number(
        "margin", "equivalence margin: thresholds closer than this are called alike", null="without a test"
    ),
    _number(
        "p_alike",
        "p-value of a difference beyond the margin, from two one-sided tests, corrected like p_different",
        null="without a margin, and if either cell has no usable member",
    ),
    _label(
        "verdict",
        "critical value of the first cell: `lower` or `higher` than that of the second, `alike` within the "
        "margin, or `undecided`",
    ),
)
"""A row an order parameter and pair of cells that differ in one key: the difference of their thresholds."""

COSTS = _schema(
    "costs",
    _label("cell_id", "the cell that was measured, as in the members table"),
    _label("cell", "readable label of the cell, e.g. `mnist mlp 40,40,40,40`"),
    *_CELL,
    *_CONTROL,
    _field("parameters", pa.int64(), "1", "number of trained parameters of one member"),
    _field(
        "seconds_per_epoch",
        _list(pa.float64()),
        "s",
        "wall time of one pass over the training data, one entry per round; a round times each row in turn",
    ),
    _field("memory_bytes", pa.int64(), "bytes", "peak memory of a training step, of the kind memory_kind"),
    _label(
        "memory_kind",
        "meaning of memory_bytes: `cuda peak`, the peak of the allocator, or `autograd saved bytes`, "
        "the tensors kept for the backward pass",
    ),
    _label("device", "kind of device that was measured: cpu or cuda"),
)
"""A row per cell and value of its control parameter: what training costs in time and memory."""


def _images(name: str, description: str) -> pa.Field:
    return _field(name, pa.binary(), "none", f"{description}, as bytes from 0 (black) to 255 (white)")


SHEETS = _schema(
    "sheets",
    _label("member_id", "the member, as in the members table"),
    _label("cell_id", "the member's cell, as in the members table"),
    _number("value", "value of the member's control parameter"),
    _field("seed", pa.int64(), "none", "realisation of weights, minibatches and noise"),
    _field(
        "image_shape",
        _list(pa.int32()),
        "1",
        "rows and columns of an image, after its channels if it has any",
    ),
    _count("unit", "the unit of the top layer with the largest KL, counted from 1"),
    _field("unit_kl_nats", pa.float64(), "nats", "KL of this unit from N(0, 1), mean over images"),
    _images("images", "observations of the validation split"),
    _images("reconstructions", "means of p(x|z) at a draw of the posterior of each of these observations"),
    _images("samples", "means of p(x|z) at draws of the prior"),
    _images(
        "traversal",
        "means of p(x|z) as the unit goes from -2.5 to 2.5; the other units are zero, and the layers below "
        "have the same noise",
    ),
)
"""A row per member that was drawn: what it makes of a few images, at its last weights."""

SCHEMAS = {
    "members": MEMBERS,
    "history": HISTORY,
    "thresholds": THRESHOLDS,
    "comparisons": COMPARISONS,
    "costs": COSTS,
    "sheets": SHEETS,
}
"""The schemas by the name of their table, which is also the stem of its file."""
