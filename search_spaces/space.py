"""Spaces: their keys, their validation and their cells.

A space is a YAML mapping. A list under `latents` gives one cell per entry, so that depth and sizes vary
together; every other key of `CellKeys` is shared by all cells of the space.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

SPACES = Path(__file__).parent
RHO_DIGITS = 6
"""rho is rounded to this many decimals, so that it reads, prints and hashes alike everywhere."""

MOST_SEEDS = 10_000
"""The largest number of seeds that can be given as a number."""


class SpaceError(Exception):
    """A space that cannot be run; the message lists every problem with key, value and what is allowed."""


_T = TypeVar("_T")


def _distinct(values: tuple[_T, ...]) -> tuple[_T, ...]:
    if len(set(values)) < len(values):
        raise ValueError("entries must be distinct")
    return values


Positive = Annotated[int, Field(ge=1)]
Rho = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


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
    points: Annotated[int, Field(ge=2)]

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


RhoList = Annotated[tuple[Rho, ...], Field(min_length=2), AfterValidator(_rounded), AfterValidator(_distinct)]


class CellKeys(_Strict):
    """What determines the numbers of a cell's members, apart from latents, rho and seed."""

    dataset: Literal["digits", "gaussian", "mnist", "mnist_static", "omniglot"]
    data_variance: tuple[Annotated[float, Field(gt=0)], ...] | None = None
    architecture: Literal["mlp", "affine"] = "mlp"
    hidden: tuple[Positive, ...] = (64, 64)
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    observation_variance: Annotated[float, Field(gt=0)] | None = None
    smoothing: Literal["posterior", "ambient"] = "posterior"
    smoothed_networks: Annotated[
        tuple[Literal["generative", "likelihood", "inference"], ...],
        Field(min_length=1),
        AfterValidator(_distinct),
        AfterValidator(lambda networks: tuple(sorted(networks))),
    ] = ("generative",)
    ou_samples: Positive = 5
    start: Literal["cold"] = "cold"
    steps: Positive = 3000
    batch_size: Positive = 100
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3
    kl_warmup: Annotated[int, Field(ge=0)] = 0
    eval_every: Positive = 500
    eval_images: Annotated[int, Field(ge=2)] | None = None
    precision: Literal["float32", "float64"] = "float32"

    def problems(self) -> list[str]:
        """Return what is wrong between keys, each with its mend."""
        found = []
        if (self.likelihood == "gaussian") != (self.observation_variance is not None):
            found.append(
                f"observation_variance: {self.observation_variance} with likelihood "
                f"{self.likelihood}; a gaussian likelihood needs it and a bernoulli one has none"
            )
        if (self.dataset == "gaussian") != (self.data_variance is not None):
            found.append(
                f"data_variance: {self.data_variance} with dataset {self.dataset}; dataset gaussian "
                "needs it (one variance a dimension) and the others have none"
            )
        if self.dataset == "gaussian" and self.likelihood != "gaussian":
            found.append("likelihood: bernoulli with dataset gaussian; use likelihood gaussian")
        if self.architecture == "affine" and self.hidden:
            found.append(
                f"hidden: {list(self.hidden)} with architecture affine, which has no hidden layers; "
                "use hidden: []"
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
        return f"{self.dataset} {self.architecture} {','.join(map(str, self.latents))}"


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
        search: `refine` narrows each seed's bracket around the threshold; `grid` trains `rho` alone.
        rho_tolerance: `refine` stops when a seed's bracket is at most this wide.
        refine_points: values placed inside a bracket at a time.
        kl_threshold_nats: a top layer with a KL below this counts as collapsed.
        confidence: of the thresholds' intervals.
        device: where members train; `auto` takes GPUs where the cluster has any.
        cpus_per_pack, gpus_per_pack: what a pack asks Ray for (GPUs on `cuda` alone).
        pack_size: most members in a pack; None follows the device.
        checkpoint_minutes: how often a pack in training saves its state; 0 is never.
    """

    name: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
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
        tuple[Seed, ...],
        BeforeValidator(_seed_list),
        Field(min_length=1),
        AfterValidator(_distinct),
    ] = (0, 1, 2)
    search: Literal["refine", "grid"] = "refine"
    rho_tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.02
    refine_points: Positive = 3
    kl_threshold_nats: Annotated[float, Field(gt=0)] = 0.1
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    device: Literal["auto", "cpu", "cuda"] = "auto"
    cpus_per_pack: Positive = 1
    gpus_per_pack: Annotated[float, Field(gt=0, le=1)] = 1.0
    pack_size: Positive | None = None
    checkpoint_minutes: Annotated[float, Field(ge=0)] = 5.0

    def cells(self) -> tuple[Cell, ...]:
        """Return the cells in the order of `latents`."""
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
        if self.smoothed_networks == ("generative",):
            shallow = [list(sizes) for sizes in self.latents if len(sizes) == 1]
            if shallow:
                found.append(
                    f"smoothed_networks: [generative] with latents {shallow}, which have no network "
                    "between latent layers; add a layer or smooth likelihood"
                )
        return found


def names() -> list[str]:
    """Return the names of the spaces that ship with the project."""
    return sorted(path.stem for path in SPACES.glob("*.yaml"))


def load(source: str, overrides: Sequence[str] = ()) -> Space:
    """Return the space of that name, or in that YAML file, with `KEY=VALUE` overrides on top.

    Raises:
        SpaceError: naming the file and every unknown key, bad value or contradiction at once.
    """
    path = _find(source)
    values, problems = _read(path), []
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key.strip():
            problems.append(f"--set {override}: write it as KEY=VALUE, for example --set steps=5000")
            continue
        try:
            values[key.strip()] = yaml.safe_load(text)
        except yaml.YAMLError:
            problems.append(f"--set {override}: the value is not YAML")
    values.setdefault("name", path.stem)
    space, found = _validate(values)
    problems += found
    if space is None or problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise SpaceError(f"{path}: {count} in the space\n  " + "\n  ".join(problems))
    return space


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `, did you mean …?` for the known word most like `word`, or an empty string."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f", did you mean {match[0]}?" if match else ""


def _find(source: str) -> Path:
    named = SPACES / f"{source}.yaml"
    if named.is_file() and source in names():
        return named
    path = Path(source)
    if path.is_file():
        return path
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        raise SpaceError(f"no space file {source}; give a YAML file or one of: {', '.join(names())}")
    raise SpaceError(
        f"unknown space {source!r}{nearest(source, names())}; known: {', '.join(names())}; "
        "or give the path of a YAML file"
    )


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a key given twice, of which plain YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeyLoader)  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise SpaceError(f"{path}: not a readable YAML file: {error}") from None
    if not isinstance(values, dict):
        raise SpaceError(f"{path}: a space is a mapping of keys to values, found {values!r:.60}")
    return {str(key): value for key, value in values.items()}


def _validate(values: Mapping[str, Any]) -> tuple[Space | None, list[str]]:
    try:
        space = Space.model_validate(values)
    except ValidationError as error:
        items = error.errors()
        inner = {item["loc"][:end] for item in items for end in range(1, len(item["loc"]))}
        found = [_describe(dict(item), values) for item in items if item["loc"] not in inner]
        return None, found + _contradictions(values, {str(item["loc"][0]) for item in items})
    return space, space.problems()


def _contradictions(values: Mapping[str, Any], bad: set[str]) -> list[str]:
    """Return what is wrong between the keys that are not bad by themselves."""
    harmless = {"dataset": "digits", "latents": [[1, 1]], "rho": [0, 1], "name": "harmless"}
    rest = {key: value for key, value in values.items() if key not in bad}
    rest |= {key: value for key, value in harmless.items() if key in bad}
    found = Space.model_validate(rest).problems()
    return [problem for problem in found if not bad & set(re.findall(r"\w+", problem))]


def _describe(item: dict[str, Any], values: Mapping[str, Any]) -> str:
    """Turn one of pydantic's errors into `key: found …; allowed …`."""
    tags = ("list", "range")
    where = [part for part in item["loc"] if part not in tags]
    key = ".".join(map(str, where))
    top = str(where[0]) if where else ""
    if item["type"] == "extra_forbidden":
        known = RhoRange.model_fields if top == "rho" else Space.model_fields
        suggestion = nearest(str(where[-1]), known) or f"; known: {', '.join(known)}"
        return f"{key}: unknown key{suggestion}"
    if item["type"] == "missing":
        return f"{key}: missing, and it has no default"
    message = str(item["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    found = item.get("input", values.get(top))
    return f"{key}: found {found!r:.80}; {message}"
