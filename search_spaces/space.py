"""Spaces: their keys, their validation and their cells.

A space is a YAML mapping. A list under `latents` gives one cell per entry, so that depth and sizes vary
together; `variants` gives these once for each of its entries, which may set any key of a cell, `latents`
and `rho`. `budgets` names sets of keys of which one is chosen when the space is read.
"""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

RHO_DIGITS = 6
"""rho is rounded to this many decimals, so that it reads, prints and hashes alike everywhere."""

MOST_SEEDS = 10_000
"""The largest number of seeds that can be given as a number."""


INTEGER_LIMIT = 2**31
"""Every integer is below this, so that tables and libraries can hold it."""

_T = TypeVar("_T")


def _distinct(values: tuple[_T, ...]) -> tuple[_T, ...]:
    if len(set(values)) < len(values):
        raise ValueError("entries must be distinct")
    return values


Whole = Annotated[int, Field(ge=0, lt=INTEGER_LIMIT)]
Positive = Annotated[int, Field(ge=1, lt=INTEGER_LIMIT)]
Several = Annotated[int, Field(ge=2, lt=INTEGER_LIMIT)]
Rho = Annotated[float, Field(ge=0, le=1)]


def _rounded(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(round(value, RHO_DIGITS) for value in values)


def _has_boolean(value: object) -> bool:
    """Tell whether a boolean, which Python takes for a number, is or lies within `value`."""
    if isinstance(value, list | tuple):
        return any(map(_has_boolean, value))
    return isinstance(value, bool)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_boolean(cls, value: object) -> object:
        if _has_boolean(value):
            raise ValueError("no key takes true or false (or yes, no, on, off)")
        return value


class RhoRange(_Strict):
    """Evenly spaced values of rho, both ends included."""

    low: Rho
    high: Rho
    points: Several

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        if self.high - self.low < (self.points - 1) * 10**-RHO_DIGITS:
            raise ValueError(f"points must lie at least {10**-RHO_DIGITS:g} apart")
        return self

    def values(self) -> tuple[float, ...]:
        """Return the values in increasing order."""
        spacing = (self.high - self.low) / (self.points - 1)
        return _rounded(tuple(self.low + i * spacing for i in range(self.points)))


RhoList = Annotated[tuple[Rho, ...], Field(min_length=1), AfterValidator(_rounded), AfterValidator(_distinct)]


class Costs(_Strict):
    """How the costs of the cells' members are measured, side by side: seconds an epoch, memory, parameters.

    Attributes:
        rounds: of timing, in turns; 0 counts parameters and memory alone.
        steps: training steps a round.
    """

    rounds: Whole
    steps: Positive = 20


class CellKeys(_Strict):
    """What determines the numbers of a cell's members, apart from latents, rho and seed."""

    dataset: Literal["digits", "gaussian", "mnist", "mnist_fixed", "mnist_static", "omniglot", "cifar10"]
    data_variance: tuple[Annotated[float, Field(gt=0)], ...] | None = None
    system: Literal["vae", "hermite", "vampprior", "lvae", "biva"] = "vae"
    objective: Literal["elbo", "iwae", "free_bits"] = "elbo"
    importance_samples: Positive = 1
    free_bits_nats: Annotated[float, Field(ge=0)] = 0.0
    architecture: Literal["mlp", "affine", "conv"] = "mlp"
    hidden: tuple[Positive, ...] = (64, 64)
    pseudo_inputs: Positive | None = None
    hermite_degree: Positive | None = None
    likelihood: Literal["bernoulli", "gaussian", "logistic_mixture"] = "bernoulli"
    observation_variance: Annotated[float, Field(gt=0)] | None = None
    mixture_components: Positive | None = None
    smoothing: Literal["posterior", "ambient"] = "posterior"
    smoothed_networks: Annotated[
        tuple[Literal["generative", "likelihood", "inference"], ...],
        AfterValidator(_distinct),
        AfterValidator(lambda networks: tuple(sorted(networks))),
    ] = ("generative",)
    ou_samples: Positive = 5
    start: Literal["cold"] = "cold"
    steps: Positive = 3000
    batch_size: Positive = 100
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3
    kl_warmup: Whole = 0
    eval_every: Positive = 500
    eval_images: Several | None = None
    gradient_samples: Several | None = None
    gradient_rho: Rho | None = None
    select: Literal["last", "best"] = "last"
    bound_samples: Positive | None = None
    bound_images: Several | None = None
    precision: Literal["float32", "float64"] = "float32"

    def problems(self) -> list[str]:
        """Return what is wrong between keys, each with its mend."""
        found = []
        if (self.likelihood == "gaussian") != (self.observation_variance is not None):
            found.append(
                f"observation_variance: {self.observation_variance} with likelihood "
                f"{self.likelihood}; a gaussian likelihood needs it and the others have none"
            )
        if (self.likelihood == "logistic_mixture") != (self.mixture_components is not None):
            found.append(
                f"mixture_components: {self.mixture_components} with likelihood {self.likelihood}; a "
                "logistic_mixture likelihood needs them and the others have none"
            )
        if (self.dataset == "gaussian") != (self.data_variance is not None):
            found.append(
                f"data_variance: {self.data_variance} with dataset {self.dataset}; dataset gaussian "
                "needs it (one variance a dimension) and the others have none"
            )
        if self.dataset == "gaussian" and self.likelihood != "gaussian":
            found.append(f"likelihood: {self.likelihood} with dataset gaussian; use likelihood gaussian")
        if self.dataset == "cifar10" and self.likelihood == "bernoulli":
            found.append(
                "likelihood: bernoulli with dataset cifar10, whose pixels are not binary; use likelihood "
                "logistic_mixture or gaussian"
            )
        if self.dataset == "gaussian" and self.architecture == "conv":
            found.append("architecture: conv with dataset gaussian, which has no images; use mlp or affine")
        if self.architecture == "affine" and self.hidden:
            found.append(
                f"hidden: {list(self.hidden)} with architecture affine, which has no hidden layers; "
                "use hidden: []"
            )
        if self.architecture != "affine" and not self.hidden:
            found.append(
                f"hidden: [] with architecture {self.architecture}, which needs a hidden layer; give its "
                "width, or use architecture affine"
            )
        if self.importance_samples > 1 and self.objective != "iwae":
            found.append(
                f"importance_samples: {self.importance_samples} with objective {self.objective}; only "
                "objective iwae has them"
            )
        if self.free_bits_nats > 0 and self.objective != "free_bits":
            found.append(
                f"free_bits_nats: {self.free_bits_nats} with objective {self.objective}; only objective "
                "free_bits has them"
            )
        if (self.gradient_samples is None) != (self.gradient_rho is None):
            found.append(
                f"gradient_samples: {self.gradient_samples} with gradient_rho {self.gradient_rho}; the "
                "gradient's variance needs both"
            )
        if self.gradient_samples is not None and self.system != "vae":
            found.append(
                f"gradient_samples: {self.gradient_samples} with system {self.system}; use system vae"
            )
        if (self.system == "hermite") != (self.hermite_degree is not None):
            found.append(
                f"hermite_degree: {self.hermite_degree} with system {self.system}; system hermite needs it "
                "and the others have none"
            )
        if (self.system == "vampprior") != (self.pseudo_inputs is not None):
            found.append(
                f"pseudo_inputs: {self.pseudo_inputs} with system {self.system}; system vampprior needs them "
                "and the others have none"
            )
        if self.system == "hermite":
            found += self._hermite_problems()
        elif self.system != "vae":
            found += self._unsmoothed_problems()
        if self.bound_samples is None and (self.bound_images is not None or self.select == "best"):
            found.append(
                "bound_samples: missing, with select: best or bound_images, which say how the test split is "
                "measured; give the k of the bound L_k"
            )
        return found

    def _hermite_problems(self) -> list[str]:
        found = []
        if self.architecture != "mlp":
            found.append(
                f"architecture: {self.architecture} with system hermite, whose series is that of an affine "
                "layer's ReLU units; use architecture mlp"
            )
        if self.smoothed_networks != ("likelihood",):
            found.append(
                f"smoothed_networks: {list(self.smoothed_networks)} with system hermite, which smooths "
                "p(x|z_1) alone; use smoothed_networks: [likelihood]"
            )
        if self.smoothing != "posterior":
            found.append(
                f"smoothing: {self.smoothing} with system hermite, whose series is in the posterior's noise; "
                "use smoothing: posterior"
            )
        return found

    def _unsmoothed_problems(self) -> list[str]:
        """Return what is wrong with a system that has no smoothing."""
        found = []
        if self.architecture == "affine":
            found.append(
                f"architecture: affine with system {self.system}, which needs hidden layers; use "
                "architecture mlp, or system vae"
            )
        if self.smoothed_networks:
            found.append(
                f"smoothed_networks: {list(self.smoothed_networks)} with system {self.system}, which has no "
                "smoothing; smoothed_networks must be []"
            )
        return found


class Cell(CellKeys):
    """One curve KL(rho): a data set, an architecture, latent sizes and a training budget."""

    latents: tuple[Positive, ...]

    @property
    def depth(self) -> int:
        """L, the number of stochastic layers."""
        return len(self.latents)

    @property
    def label(self) -> str:
        """How tables, figures and MLflow name the cell."""
        words = [self.dataset, self.architecture, ",".join(map(str, self.latents))]
        if self.system != "vae":
            words.append(self.system)
        elif not self.smoothed_networks:
            words.append("unsmoothed")
        elif self.smoothed_networks != ("generative",):
            words.append(f"smoothed-{'+'.join(self.smoothed_networks)}")
        if self.objective == "iwae":
            words.append(f"iwae-{self.importance_samples}")
        if self.objective == "free_bits":
            words.append(f"free-bits-{self.free_bits_nats:g}")
        if self.kl_warmup:
            words.append("+kl")
        return " ".join(words)


DEPTHS = {"hermite": 1, "vampprior": 2}
"""How many latent layers a system has, where it has a fixed number."""

VARIANT_KEYS = frozenset(CellKeys.model_fields) | {"latents", "rho"}
"""What a variant may set: the search, the seeds and where to train are the same for all."""


def _seed_list(value: object) -> object:
    if isinstance(value, int):
        if not 1 <= value <= MOST_SEEDS:
            raise ValueError(f"a number of seeds must be 1 to {MOST_SEEDS}")
        return tuple(range(value))
    return value


class Space(CellKeys):
    """A named search space.

    Attributes:
        name: of the space; the file's name unless given.
        latents: one list of sizes a cell, z_1 first.
        rho: the values of `grid`, or the coarse values from which `refine` starts.
        seeds: the seeds, or how many (0, 1, …).
        search: `refine` narrows each seed's bracket around the threshold; `grid` trains `rho` alone; `none`
            trains nothing, for a space of `costs`.
        rho_tolerance: `refine` stops when a seed's bracket is at most this wide.
        refine_points: values placed inside a bracket at a time.
        kl_threshold_nats: a top layer with a KL below this counts as collapsed.
        confidence: of the thresholds' intervals.
        device: where members train; `auto` takes GPUs where the cluster has any.
        cpus_per_pack, gpus_per_pack: what a pack asks Ray for (GPUs on `cuda` alone).
        pack_size: most members in a pack; None follows the device.
        checkpoint_minutes: how often a pack in training saves its state; 0 is never.
        wait_minutes: how long a sweep waits for a node with room for a pack.
        grace_seconds: from SIGINT or SIGTERM to the end; what is trained is saved in that time.
        evaluation_gib: memory in GiB that a pack may take to evaluate L_k, which it fills in chunks.
        costs: how costs are measured, if they are.
        variants: what else is swept: each gives the cells of `latents` once, with its own values of some
            keys of a cell, of `latents` or of `rho`.
    """

    name: Annotated[
        str,
        Field(
            min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", coerce_numbers_to_str=True
        ),
    ]
    latents: Annotated[
        tuple[Annotated[tuple[Positive, ...], Field(min_length=1)], ...],
        Field(min_length=1),
        AfterValidator(_distinct),
    ]
    rho: Annotated[
        Annotated[RhoList, Tag("list")] | Annotated[RhoRange, Tag("range")],
        Discriminator(lambda value: "range" if isinstance(value, dict | RhoRange) else "list"),
    ]
    seeds: Annotated[
        tuple[Whole, ...],
        BeforeValidator(_seed_list),
        Field(min_length=1),
        AfterValidator(_distinct),
    ] = (0, 1, 2)
    search: Literal["refine", "grid", "none"] = "refine"
    rho_tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.02
    refine_points: Positive = 3
    kl_threshold_nats: Annotated[float, Field(gt=0)] = 0.1
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    device: Literal["auto", "cpu", "cuda"] = "auto"
    cpus_per_pack: Positive = 1
    gpus_per_pack: Annotated[float, Field(gt=0, le=1)] = 1.0
    pack_size: Positive | None = None
    checkpoint_minutes: Annotated[float, Field(ge=0)] = 5.0
    wait_minutes: Annotated[float, Field(ge=0)] = 10.0
    grace_seconds: Annotated[float, Field(gt=0)] = 25.0
    evaluation_gib: Annotated[float, Field(gt=0)] = 1.0
    costs: Costs | None = None
    variants: tuple[dict[str, Any], ...] = ()

    def parts(self) -> tuple["Space", ...]:
        """Return a space without variants for each variant: this one, where there is none."""
        if not self.variants:
            return (self,)
        shared = self.model_dump(exclude={"variants"})
        return tuple(Space.model_validate(shared | variant) for variant in self.variants)

    def cells(self) -> tuple[Cell, ...]:
        """Return the cells in the order of variants and `latents`."""
        return tuple(cell for part in self.parts() for cell in part._own_cells())

    def part_of(self, cell: Cell) -> "Space":
        """Return the part that holds the cell."""
        return next(part for part in self.parts() if cell in part._own_cells())

    def _own_cells(self) -> tuple[Cell, ...]:
        shared = self.model_dump(include=set(CellKeys.model_fields))
        return tuple(Cell(latents=latents, **shared) for latents in self.latents)

    def rho_values(self) -> tuple[float, ...]:
        """Return the (coarse) values of rho in increasing order."""
        if isinstance(self.rho, RhoRange):
            return self.rho.values()
        return tuple(sorted(self.rho))

    def problems(self) -> list[str]:
        """Return what is wrong between keys, each with its mend."""
        found = super().problems()
        if self.search == "refine" and len(self.rho_values()) < 2:
            found.append(
                f"rho: {list(self.rho_values())} with search refine, which starts from two values or more; "
                "add one or use search: grid"
            )
        if self.search == "none" and self.costs is None:
            found.append("search: none without costs, which leaves nothing to do; give costs: {rounds: 5}")
        if not self.smoothed_networks and self.rho_values() != (1.0,):
            found.append(
                f"rho: {list(self.rho_values())} with smoothed_networks [], where it has no effect; use "
                "rho: [1.0]"
            )
        depth = DEPTHS.get(self.system)
        wrong = [list(sizes) for sizes in self.latents if depth is not None and len(sizes) != depth]
        if wrong:
            found.append(
                f"latents: {wrong} with system {self.system}, whose number of latent layers is {depth}; "
                "give as many sizes in each entry"
            )
        if self.system == "vae" and self.smoothed_networks == ("generative",) and self.rho_values() != (1.0,):
            shallow = [list(sizes) for sizes in self.latents if len(sizes) == 1]
            if shallow:
                found.append(
                    f"smoothed_networks: [generative] with latents {shallow}, which have no network "
                    "between latent layers; add a layer or smooth likelihood"
                )
        return found
