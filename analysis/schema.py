"""The contract between sweeps and analysis: the columns of the tables of a run.

`members.parquet` has a row a member (one trained model: a cell, a rho and a seed),
`history.parquet` a row a member and evaluation, `thresholds.parquet` a row a cell. A run that
measures time and memory has `costs.parquet`, a row a cell and rho.

Each field carries two metadata entries: `unit` (`nats`, `steps`, `s`, `bytes`, `layers`, `1` for
other numbers and counts, `none` for names, labels and dates) and `description`. A field that may be null
says when; every other field is declared not nullable. The metadata of a schema itself hold
`schema_version` and `table`, the name of the table.

Lists with an entry per layer go from z_1, the latent layer next to the data, to z_L, the top. The
paper lists active units the other way round, top to bottom.
"""

from collections.abc import Sequence

import pyarrow as pa

SCHEMA_VERSION = "3"
"""Version of all schemas; a reader refuses a file that carries another."""

LOST = ("diverged", "failed")
"""The statuses of a member that has no metrics: its loss was not finite, or it could not be trained."""


def _field(name: str, dtype: pa.DataType, unit: str, description: str, nullable: bool = False) -> pa.Field:
    metadata = {"unit": unit, "description": description}
    return pa.field(name, dtype, nullable=nullable, metadata=metadata)


def _label(name: str, description: str, nullable: bool = False) -> pa.Field:
    return _field(name, pa.string(), "none", description, nullable)


def _number(name: str, description: str, nullable: bool = False) -> pa.Field:
    return _field(name, pa.float64(), "1", description, nullable)


def _count(name: str, description: str) -> pa.Field:
    return _field(name, pa.int32(), "1", description)


def _nats(name: str, description: str, nullable: bool = False) -> pa.Field:
    return _field(name, pa.float64(), "nats", description, nullable)


def _maybe_count(name: str, description: str) -> pa.Field:
    return _field(name, pa.int32(), "1", description, nullable=True)


def _steps(name: str, description: str, nullable: bool = False) -> pa.Field:
    return _field(name, pa.int64(), "steps", description, nullable)


def _list(dtype: pa.DataType) -> pa.DataType:
    """A list whose items have the name that parquet gives them, so that files keep the schema."""
    return pa.list_(pa.field("element", dtype))


def _schema(table: str, fields: Sequence[pa.Field]) -> pa.Schema:
    return pa.schema(fields, metadata={"schema_version": SCHEMA_VERSION, "table": table})


_INTS, _DOUBLES, _STRINGS = _list(pa.int32()), _list(pa.float64()), _list(pa.string())

MEMBERS = _schema(
    "members",
    [
        _label("member_id", "hash of everything that determines the numbers of this member"),
        _label("space", "name of the search space that was swept"),
        _label(
            "cell_id",
            "hash of the cell: everything that identifies the member except rho and seed",
        ),
        _label("cell", "readable label of the cell, e.g. `digits mlp 16,16`"),
        _label("dataset", "name of the data set that the member is trained on"),
        _label("data_digest", "hash of the data set's arrays as they were used"),
        _field(
            "data_variance",
            _DOUBLES,
            "1",
            "eigenvalues of the covariance of synthetic Gaussian data, in squared data units; "
            "null for every other data set",
            nullable=True,
        ),
        _label("system", "which model, e.g. `vae` (with smoothing the OU-VAE) or `lvae`"),
        _label("objective", "what is maximised: `elbo`, `iwae` or `free_bits`"),
        _count("importance_samples", "number k of importance samples of objective `iwae`; 1 elsewhere"),
        _nats("free_bits_nats", "nats of each layer that objective `free_bits` gives free; 0 elsewhere"),
        _label("architecture", "family of the networks, e.g. `mlp` or `conv`"),
        _field("depth", pa.int32(), "layers", "number L of latent layers"),
        _field("latents", _INTS, "1", "size of each latent layer, z_1 first"),
        _field("hidden", _INTS, "1", "widths of the hidden layers of one network"),
        _maybe_count("pseudo_inputs", "number of pseudo-inputs of a VampPrior; null for other systems"),
        _maybe_count("hermite_degree", "highest Hermite degree that system `hermite` keeps; null elsewhere"),
        _maybe_count(
            "mixture_components", "logistics a pixel of likelihood `logistic_mixture`; null elsewhere"
        ),
        _label("likelihood", "distribution of the observation given z_1"),
        _number(
            "observation_variance",
            "fixed variance of a Gaussian likelihood, in squared data units; null for every other likelihood",
            nullable=True,
        ),
        _label(
            "smoothing",
            "measure of the Ornstein-Uhlenbeck semigroup: `posterior` (that of q) or "
            "`ambient` (the standard normal)",
        ),
        _field(
            "smoothed_networks",
            _STRINGS,
            "none",
            "the groups of conditional networks that are smoothed",
        ),
        _count("ou_samples", "number K of Ornstein-Uhlenbeck draws averaged"),
        _number(
            "rho",
            "smoothing parameter between 0 and 1; 1 is the variational autoencoder unsmoothed",
        ),
        _field(
            "seed",
            pa.int64(),
            "none",
            "realisation of weights, minibatches and noise, shared by all rho of a curve",
        ),
        _label("start", "where training starts: `cold` is fresh weights"),
        _steps("steps", "training budget: number of optimizer steps"),
        _count("batch_size", "observations in a minibatch"),
        _number("learning_rate", "step size of the optimizer"),
        _steps("kl_warmup", "length of the linear annealing of the KL terms; 0 is none"),
        _steps("eval_every", "distance between two rows of the history"),
        _field(
            "eval_images",
            pa.int32(),
            "1",
            "number of validation images used in an evaluation, the first ones; null for all",
            nullable=True,
        ),
        _maybe_count(
            "gradient_samples", "noise samples of the gradient's variance; null where it is not measured"
        ),
        _number("gradient_rho", "the smoothing it is measured with; null where it is not measured", True),
        _label(
            "select", "weights measured on the test split: the `last` or those of the `best` validation ELBO"
        ),
        _maybe_count("bound_samples", "k of the bound L_k on the test split; null where that is left alone"),
        _maybe_count("bound_images", "number of test images used, the first ones; null for all"),
        _label("precision", "floating-point format of the training"),
        _label("device", "kind of device that trained the member: cpu or cuda"),
        _nats("kl_threshold_nats", "top-layer KL from which the run counts a member as active"),
        _number(
            "rho_c_exact",
            "critical rho of the cell where a closed form is known; null elsewhere",
            nullable=True,
        ),
        _label(
            "status",
            "`completed`, `diverged` when a loss was not finite, or `failed` when it could not be trained",
        ),
        _steps(
            "diverged_at_step",
            "first step at which divergence was seen; null unless the status is `diverged`",
            nullable=True,
        ),
        _label(
            "failure",
            "why the member could not be trained, in one line; null unless the status is `failed`",
            nullable=True,
        ),
        _nats(
            "kl_top_nats",
            "KL divergence of the top layer z_L after training, mean over the evaluation "
            "data; null for a member that diverged or failed",
            nullable=True,
        ),
        _field(
            "kl_nats",
            _DOUBLES,
            "nats",
            "KL divergence of each layer after training, z_1 first; "
            "null for a member that diverged or failed",
            nullable=True,
        ),
        _nats(
            "elbo_nats",
            "evidence lower bound per observation without smoothing, the larger the better; "
            "null for a member that diverged or failed",
            nullable=True,
        ),
        _nats(
            "objective_nats",
            "smoothed objective per observation; at small rho it need not be a lower bound; "
            "null for a member that diverged or failed",
            nullable=True,
        ),
        _nats(
            "reconstruction_nats",
            "expected log p(x|z_1) per observation under the inference network, without smoothing; "
            "elbo_nats is this minus the sum of kl_nats; null for a member that diverged or failed",
            nullable=True,
        ),
        _field(
            "active_units",
            _INTS,
            "1",
            "active latent units of each layer, z_1 first (the paper lists the top first); "
            "null for a member that diverged or failed",
            nullable=True,
        ),
        _steps(
            "selected_step",
            "optimizer steps of the weights measured on the test split; null where it is left "
            "alone, and for a member that diverged or failed",
            nullable=True,
        ),
        _nats(
            "test_bound_nats",
            "importance weighted bound L_k on log p(x), k = bound_samples, mean over the test split; null "
            "where that is left alone, and for a member that diverged or failed",
            nullable=True,
        ),
        _nats(
            "test_elbo_nats",
            "evidence lower bound per observation of the test split; null where that is left alone, "
            "and for a member that diverged or failed",
            nullable=True,
        ),
        _field(
            "test_kl_nats",
            _DOUBLES,
            "nats",
            "KL divergence of each layer over the test split, z_1 first; null where that is left alone, "
            "and for a member that diverged or failed",
            nullable=True,
        ),
        _nats(
            "test_kl_top_nats",
            "KL divergence of the top layer z_L over the test split; null where that is left alone, "
            "and for a member that diverged or failed",
            nullable=True,
        ),
        _field(
            "test_active_units",
            _INTS,
            "1",
            "active latent units of each layer over the test split, z_1 first; null where that is left "
            "alone, and for a member that diverged or failed",
            nullable=True,
        ),
        _field(
            "parameters",
            pa.int64(),
            "1",
            "number of trained parameters of the member; null for a member that failed",
            nullable=True,
        ),
        _count("pixels", "dimensions of an observation; bits per dimension are nats / (pixels ln 2)"),
        _field(
            "seconds",
            pa.float64(),
            "s",
            "wall time of the training of the member's pack, divided by the members of the pack; 0 for a "
            "member that failed",
        ),
        _label("pack_id", "the pack of members that was trained together"),
        _count("pack_members", "number of members in the member's pack"),
        _field(
            "finished_at",
            pa.timestamp("ms", tz="UTC"),
            "none",
            "moment in UTC at which the member's pack was finished, or was given up",
        ),
        _count("numerics_version", "raised by every change of the project that changes numbers"),
        _label("project_version", "version of the project that trained it"),
        _label(
            "torch_version",
            "version of PyTorch that trained the member; null for a member that failed",
            nullable=True,
        ),
        _label(
            "python_version",
            "version of Python that trained the member; null for a member that failed",
            nullable=True,
        ),
        _label("commit", "commit of the project, or `unknown` outside of one"),
    ],
)
"""A row a member: what it is, how it was trained and what came out."""

HISTORY = _schema(
    "history",
    [
        _label("member_id", "the member, as in the members table"),
        _label("cell_id", "the member's cell, as in the members table"),
        _number("rho", "smoothing parameter of the member, between 0 and 1"),
        _field("seed", pa.int64(), "none", "realisation of weights, minibatches and noise"),
        _steps("step", "optimizer steps taken before this evaluation"),
        _nats(
            "kl_top_nats",
            "KL divergence of the top layer z_L, mean over the validation split; null where "
            "it was not finite",
            nullable=True,
        ),
        _field(
            "kl_nats",
            _DOUBLES,
            "nats",
            "KL divergence of each layer over the validation split, z_1 first; null where it was not finite",
            nullable=True,
        ),
        _nats(
            "elbo_nats",
            "evidence lower bound per observation of the validation split, without smoothing; "
            "null where it was not finite",
            nullable=True,
        ),
        _nats(
            "objective_nats",
            "smoothed objective per observation of the validation split; null where it was not finite",
            nullable=True,
        ),
        _nats(
            "reconstruction_nats",
            "expected log p(x|z_1) per observation under the inference network, without smoothing; "
            "null where it was not finite",
            nullable=True,
        ),
        _field(
            "active_units",
            _INTS,
            "1",
            "active latent units of each layer over the validation split, z_1 first; null "
            "where none were counted",
            nullable=True,
        ),
        _number(
            "gradient_variance",
            "variance over noise draws of the gradient of the loss with respect to the mean output of the "
            "first encoder layer, averaged over images and coordinates, without smoothing; null where it "
            "was not measured",
            nullable=True,
        ),
        _number(
            "gradient_variance_smoothed",
            "variance over noise draws of the gradient of the loss with respect to the mean output of the "
            "first encoder layer, averaged over images and coordinates, with smoothing; null where it was "
            "not measured",
            nullable=True,
        ),
    ],
)
"""A row a member and evaluation during training, on the validation split."""

_SEED_THRESHOLD = pa.struct(
    [
        _field("seed", pa.int64(), "none", "the realisation that this threshold belongs to"),
        _number(
            "rho_c",
            "critical rho of the seed; null unless its status is `transition`",
            nullable=True,
        ),
        _number(
            "rho_low",
            "lower end of the seed's bracket; null unless its status is `transition`",
            nullable=True,
        ),
        _number(
            "rho_high",
            "upper end of the seed's bracket; null unless its status is `transition`",
            nullable=True,
        ),
        _nats(
            "jump_nats",
            "rise of the top-layer KL across the bracket, from its collapsed to its active "
            "end; null unless the status is `transition`",
            nullable=True,
        ),
        _label("status", "`transition`, `always_active`, `always_collapsed` or `unresolved`"),
    ]
)

THRESHOLDS = _schema(
    "thresholds",
    [
        _label("space", "name of the search space that was swept"),
        _label("cell_id", "the cell, as in the members table"),
        _label("cell", "readable label of the cell, e.g. `digits mlp 16,16`"),
        _label("dataset", "name of the data set that the cell is trained on"),
        _label("architecture", "family of the networks, e.g. `mlp` or `conv`"),
        _field("depth", pa.int32(), "layers", "number L of latent layers"),
        _field("latents", _INTS, "1", "size of each latent layer, z_1 first"),
        _label(
            "smoothing",
            "measure of the Ornstein-Uhlenbeck semigroup: `posterior` or `ambient`",
        ),
        _count("ou_samples", "number K of Ornstein-Uhlenbeck draws averaged"),
        _steps("steps", "training budget of the members; the apparent threshold drifts with it"),
        _nats("kl_threshold_nats", "top-layer KL from which this table counts a member as active"),
        _label(
            "collapsed_side",
            "side of the rho axis on which the top layer is collapsed: `high` or `low`",
        ),
        _number(
            "rho_c",
            "critical rho of the cell: mean over its seeds; null unless status is `transition`",
            nullable=True,
        ),
        _number(
            "rho_c_low",
            "lower end of the interval of rho_c; null unless status is `transition`",
            nullable=True,
        ),
        _number(
            "rho_c_high",
            "upper end of the interval of rho_c; null unless status is `transition`",
            nullable=True,
        ),
        _number(
            "confidence",
            "nominal coverage of the interval of rho_c; null with one seed, whose interval is "
            "its bracket, and unless status is `transition`",
            nullable=True,
        ),
        _number(
            "bracket_low",
            "mean over seeds of the lower ends of the brackets; null unless `transition`",
            nullable=True,
        ),
        _number(
            "bracket_high",
            "mean over seeds of the upper ends of the brackets; null unless `transition`",
            nullable=True,
        ),
        _number(
            "width",
            "mean width of the seeds' brackets, the resolution in rho; null unless `transition`",
            nullable=True,
        ),
        _nats(
            "jump_nats",
            "mean over seeds of the rise of the top-layer KL across the bracket; null unless "
            "status is `transition`",
            nullable=True,
        ),
        _number(
            "rho_c_exact",
            "critical rho where a closed form is known; null elsewhere",
            nullable=True,
        ),
        _count("n_seeds", "number of seeds of the cell"),
        _count("n_members", "number of members of the cell, those that diverged or failed included"),
        _count("n_diverged", "number of diverged members, left out of the estimate"),
        _count("n_failed", "number of members that could not be trained, left out of the estimate"),
        _label(
            "status",
            "`transition`, `always_active` or `always_collapsed` when all seeds agree, else `unresolved`",
        ),
        _label("method", "how rho_c and its interval are estimated, in a phrase"),
        _field("seeds", _list(_SEED_THRESHOLD), "none", "the threshold of each seed by itself"),
    ],
)
"""A row a cell: its critical rho with an interval, and the thresholds of its seeds."""

COSTS = _schema(
    "costs",
    [
        _label("cell_id", "the cell that was measured, as in the members table"),
        _label("cell", "readable label of the cell, e.g. `mnist mlp 40,40,40,40`"),
        _label("system", "which model, e.g. `vae` (with smoothing the OU-VAE) or `lvae`"),
        _label("objective", "what is maximised: `elbo`, `iwae` or `free_bits`"),
        _count("importance_samples", "number k of importance samples of objective `iwae`; 1 elsewhere"),
        _number("rho", "smoothing parameter between 0 and 1; 1 is without smoothing"),
        _field("latents", _INTS, "1", "size of each latent layer, z_1 first"),
        _label("architecture", "family of the networks, e.g. `mlp` or `conv`"),
        _label("dataset", "name of the data set that is trained on"),
        _count("batch_size", "observations in a minibatch"),
        _field("parameters", pa.int64(), "1", "number of trained parameters of one member"),
        _field(
            "seconds_per_epoch",
            _DOUBLES,
            "s",
            "wall time of one pass over the training data, an entry a round; a round times every row in turn",
        ),
        _field("memory_bytes", pa.int64(), "bytes", "most memory used by a training step, see memory_kind"),
        _label(
            "memory_kind",
            "what memory_bytes counts: `cuda peak`, the allocator's peak, or `autograd saved bytes`, the "
            "tensors kept for the backward pass",
        ),
        _label("device", "kind of device that was measured: cpu or cuda"),
    ],
)
"""A row a cell and rho: what training costs in time and memory."""

SCHEMAS = {"members": MEMBERS, "history": HISTORY, "thresholds": THRESHOLDS, "costs": COSTS}
"""The schemas by the name of their table, which is also the stem of its file."""
