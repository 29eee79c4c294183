"""Packed training: the members of a pack train as one.

The P models of a pack have one shape and differ in rho, seed and weights. Their parameters are stacked
along a leading axis, and `torch.func.vmap` runs the plain single model over that axis, so that whatever is
written as a single model trains packed. The members never mix: a member's numbers are those it would have
alone, up to floating-point rounding.

On a GPU a step is one CUDA graph, and so is what an evaluation runs again and again. A graph has one shape:
members that diverged stay in the pack there, and count as nothing.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from ouvae.data import Dataset, Images
from ouvae.declared import METRICS, TEST_METRICS, Cell
from ouvae.parts.networks import Shape
from ouvae.systems import Draws, System, Terms, build, leading_axes
from ouvae.training.counts import importance_sample_bytes
from ouvae.training.device import usable_device
from ouvae.training.evaluation.evaluator import Evaluator, TopDraws
from ouvae.training.evaluation.gradients import gradient_variances
from ouvae.training.evaluation.metrics import completed, unit_moments, values_of
from ouvae.training.feed import BLOCK_STEPS, Feed
from ouvae.training.noise import binarize, cut_draws, stream
from ouvae.training.outcome import Measured, Outcome, Values
from ouvae.training.selection import BestWeights
from ouvae.training.step.adam import Adam
from ouvae.training.step.captured import Captured, Function
from ouvae.training.step.precision import weights_dtype
from ouvae.training.step.step import WRITTEN_DOWN_FROM, Inputs, Losses, as_written, single_terms, written_down

GIB = 2**30


def initial_model(cell: Cell, image_shape: Shape, seed: int) -> System:
    """Return the seed's model with its initial weights, the same for every rho.

    Modules initialise themselves from the default generator, which is set to the seed's stream here and
    put back afterwards.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.set_state(stream(torch.device("cpu"), "weights", seed).get_state())
        model = build(cell, image_shape)
    return model.to(weights_dtype(cell))


class _Top(nn.Module):
    """A system called for its top layer: `functional_call` calls what a module's `forward` is."""

    def __init__(self, system: System) -> None:
        """Wrap a system."""
        super().__init__()
        self.system = system

    def forward(self, x: Tensor, draws: Draws) -> TopDraws:
        """Return mean, log scale and z of `System.top_draw`, all of z's shape."""
        top = self.system.top_draw(x, draws)
        return top.mean.expand_as(top.z), top.log_scale.expand_as(top.z), top.z


class _Units(nn.Module):
    """A system called for the posterior means of its layers."""

    def __init__(self, system: System) -> None:
        """Wrap a system."""
        super().__init__()
        self.system = system

    def forward(self, x: Tensor, draws: Draws) -> tuple[Tensor, ...]:
        """Return mean and variance over draws of `System.posterior_means`, layer after layer."""
        means = self.system.posterior_means(x, draws)
        return tuple(moment for layer in means for moment in unit_moments(layer))


class PackTraining:
    """P members of one cell in training.

    Args:
        cell: what its members share.
        members: (rho, seed) of each.
        data: the cell's data set; the test split is used if the cell has `bound_samples`.
        device: where to train.
        evaluation_bytes: memory that the evaluation of L_k may take, which it fills in chunks.
    """

    def __init__(
        self,
        cell: Cell,
        members: Sequence[tuple[float, int]],
        data: Dataset,
        device: torch.device | str = "cpu",
        evaluation_bytes: int = GIB,
    ) -> None:
        """Build the members at their initial weights; no training yet."""
        self.cell = cell
        self.members = list(members)
        self.step = 0
        self._evaluation_bytes = evaluation_bytes
        self._device = usable_device(device)
        self._dtype = weights_dtype(cell)
        self._seeds = sorted({seed for _, seed in members})
        self._rows = list(range(len(members)))
        self._runs: dict[tuple[object, ...], Function] = {}
        self._histories: list[list[Values]] = [[] for _ in members]
        self._diverged: dict[int, int] = {}
        self._tests: dict[int, Values] = {}

        train = torch.from_numpy(data.train).to(self._device, self._dtype)
        self._dynamic = data.binarization == "dynamic"
        self._feed = Feed(cell, train, self._dynamic, self._seeds, BLOCK_STEPS[self._device.type])
        self._validation = self._fixed("validation", data.validation[: cell.eval_images])
        self._test_split = data.test[: cell.bound_images]
        self._evaluator = Evaluator(
            cell,
            self._run,
            self._run_top,
            self._run_units,
            self._of_members,
            self._seeds,
            self._device,
            self._dtype,
        )

        models = [initial_model(cell, data.image_shape, seed) for _, seed in members]
        parameters, _ = stack_module_state(cast(list[nn.Module], models))
        self._parameters = {
            name: value.detach().to(self._device).requires_grad_() for name, value in parameters.items()
        }
        self._model = models[0].to("meta")
        self._optimizer = Adam(list(self._parameters.values()), cell.learning_rate, cell.weight_decay)
        self._bad_step = torch.full((len(members),), -1, device=self._device)
        self._best = BestWeights(self._parameters, len(members)) if cell.select == "best" else None
        self._place_members()

    @property
    def parameters_per_member(self) -> int:
        """How many numbers are trained in a member."""
        return sum(value.shape[1:].numel() for value in self._parameters.values())

    @property
    def done(self) -> bool:
        """Whether every member has its steps or has diverged."""
        return self.step >= self.cell.steps or self._all_diverged

    @property
    def _all_diverged(self) -> bool:
        return len(self._diverged) == len(self.members)

    def train_step(self) -> None:
        """Take one optimizer step with every member that is alive; evaluate where one is due."""
        if self.step == 0 and not any(self._histories):
            self.evaluate()
        if self.done:
            return
        inputs = self._next_inputs()
        self.step += 1
        self._update(*inputs, torch.full((), self.step, device=self._device))
        if self.step % self.cell.eval_every == 0 or self.step == self.cell.steps:
            self.evaluate()
        if self.step == self.cell.steps and self.cell.bound_samples:
            self._test(self.cell.bound_samples)

    def evaluate(self) -> None:
        """Append an evaluation of every member that is alive to its history, and freeze those that diverged.

        A member whose evaluation is not finite has diverged, though its last loss was finite.
        """
        if self._all_diverged:
            return
        measured = self._measure_validation()
        elbo = measured["elbo_nats"]
        self._note_diverged(elbo + measured["objective_nats"], self.step)
        kept = self._freeze_diverged()
        if self._best is not None:
            self._best.note(self._parameters, elbo[kept], self.step)
        for row, was in enumerate(kept):
            if (member := self._rows[row]) not in self._diverged:
                values = {"step": self.step, **values_of(measured, was), **self._gradient_variances(row)}
                self._histories[member].append(values)

    def outcomes(self) -> list[Outcome]:
        """Return what became of each member, in the order of `members`."""
        return [
            Outcome(rho, seed, self._histories[index], self._diverged.get(index), self._tests.get(index))
            for index, (rho, seed) in enumerate(self.members)
        ]

    def weights(self, best: bool = False) -> tuple[list[int], dict[str, Tensor]]:
        """Return who of `members` has not diverged, by their places, and their weights by name, [P, …] each.

        Args:
            best: those at the highest validation ELBO, of a cell with `select: best`, and not the last.
        """
        source = self._best.parameters if best and self._best is not None else self._parameters
        rows = [row for row, member in enumerate(self._rows) if member not in self._diverged]
        kept = {name: value.detach()[rows].cpu().contiguous() for name, value in source.items()}
        return [self._rows[row] for row in rows], kept

    def measured(
        self, places: Sequence[int], weights: Mapping[str, Tensor], diverged: Mapping[int, int]
    ) -> dict[int, Measured]:
        """Return the metrics of members at given weights, by their places in `members`.

        For a pack that was not trained. It takes the shape that it had after training: weights of the last
        step give the numbers of the last evaluation to the bit, selected weights those of the test split.

        Args:
            places: of the members, as `weights` returns them.
            weights: their weights by name, [P, …] each.
            diverged: the step at which other members diverged, by their places.

        Raises:
            ValueError: names or shapes of the weights are not those of the members' parameters.
        """
        shapes = {name: (len(places), *value.shape[1:]) for name, value in self._parameters.items()}
        if shapes != {name: tuple(value.shape) for name, value in weights.items()}:
            raise ValueError("names or shapes of the weights are not those of the members")
        before_last = (self.cell.steps - 1) // self.cell.eval_every * self.cell.eval_every
        rows = self._without({place for place, step in diverged.items() if step <= before_last}, places)
        for name, value in self._parameters.items():
            value.data[rows] = weights[name].to(value)
        of_rows = self._measure_validation()
        validation = [values_of(of_rows, row) | self._gradient_variances(row) for row in rows]
        test: list[Values | None] = [None] * len(rows)
        if self.cell.bound_samples:
            rows = self._without({*diverged}, places)
            of_rows = self._measure_test(self.cell.bound_samples)
            test = [values_of(of_rows, row) for row in rows]
        measured = map(Measured, validation, test)
        return dict(zip(places, measured, strict=True))

    def _without(self, diverged: Collection[int], places: Sequence[int]) -> list[int]:
        """Take diverged members out where the shape may change; return the rows of `places`."""
        if self._device.type != "cuda":
            self._keep([row for row, place in enumerate(self._rows) if place not in diverged])
        return [self._rows.index(place) for place in places]

    def losses_and_gradients(self) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Return the next minibatch's loss [P], gradients [P, …] and KLs [P, L], without a step.

        It consumes the minibatch and its noise: made for checks of packing.
        """
        losses, kl, gradients = self._losses(*self._next_inputs())
        return losses, dict(zip(self._parameters, gradients, strict=True)), kl

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values from which `load_state_dict` goes on exactly."""
        return {
            "step": self.step,
            "alive": self._rows,
            "diverged": self._diverged,
            "tests": dict(self._tests),
            "best": self._best.state_dict() if self._best is not None else None,
            "bad_step": self._bad_step,
            "histories": [list(history) for history in self._histories],
            "parameters": {name: value.detach() for name, value in self._parameters.items()},
            "optimizer": self._optimizer.state_dict(),
            **self._feed.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`, taken from a pack of the same cell, members and data.

        What was measured before a metric was declared lacks it, and has None.
        """
        self.step = state["step"]
        self._keep([self._rows.index(member) for member in state["alive"]])
        self._diverged = dict(state["diverged"])
        self._tests = {member: completed(values, TEST_METRICS) for member, values in state["tests"].items()}
        if self._best is not None:
            self._best.load_state_dict(state["best"])
        self._bad_step.copy_(state["bad_step"])
        self._histories = [
            [completed(values, METRICS) for values in history] for history in state["histories"]
        ]
        self._load(state["parameters"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._feed.load_state_dict(state)

    def _next_inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the next minibatches [S, B, D] and draws [S, n] of the seeds, and the weight of the KLs."""
        warmup = self.cell.kl_warmup
        weight = min(1.0, self.step / warmup) if warmup else 1.0
        return *self._feed.next(), torch.full((), weight, dtype=self._dtype, device=self._device)

    def _losses(self, x: Tensor, flat: Tensor, kl_weight: Tensor) -> Losses:
        leading = leading_axes(x.shape[1], self.cell.importance_samples)
        draws = self._own(cut_draws(self.cell, leading, flat))
        return self._step(self._parameters, Inputs(self._of_members(x), draws, self._rho, kl_weight))

    def _take_step(self, x: Tensor, flat: Tensor, kl_weight: Tensor, number: Tensor) -> tuple[()]:
        """Take the step of that number; it works on tensors alone, which stay where they are."""
        losses, _, gradients = self._losses(x, flat, kl_weight)
        self._optimizer.step(gradients)
        self._note_diverged(losses, number)
        return ()

    def _run(self, x: Tensor, draws: Draws, *, smoothed: bool, closed_form: bool) -> Terms:
        """Run every member on images [B, D] with its own seed's draws [S, …]."""
        pieces = [piece for group in draws for piece in group]
        form = (smoothed, closed_form, *(piece.shape for piece in pieces))
        if form not in self._runs:
            counts = [len(group) for group in draws]

            def run(x: Tensor, *flat: Tensor) -> Sequence[Tensor]:
                ordered = iter(flat)
                cut = Draws(*(tuple(next(ordered) for _ in range(count)) for count in counts))
                terms = self._run_packed(x, cut, smoothed, closed_form)
                return terms.log_likelihood, terms.kl, *terms.means

            self._runs[form] = self._captured(run)
        log_likelihood, kl, *means = self._runs[form](x, *pieces)
        return Terms(log_likelihood, kl, tuple(means))

    def _captured(self, function: Function) -> Function:
        return Captured(function) if self._device.type == "cuda" else function

    def _run_packed(self, x: Tensor, draws: Draws, smoothed: bool, closed_form: bool) -> Terms:
        """Do what `_run` says, as written."""

        def single(parameters: dict[str, Tensor], x: Tensor, draws: Draws, rho: Tensor) -> Terms:
            return single_terms(self._model, parameters, x, draws, rho if smoothed else None, closed_form)

        run = cast(Callable[..., Terms], vmap(single, in_dims=(0, None, 0, 0)))
        return run(self._parameters, x, self._own(draws), self._rho)

    def _run_top(self, x: Tensor, draws: Draws) -> TopDraws:
        """Draw the top layer of every member on images [B, D] with draws [P, …] of each member."""

        def single(parameters: dict[str, Tensor], draws: Draws) -> TopDraws:
            named = {f"system.{name}": value for name, value in parameters.items()}
            return cast(TopDraws, functional_call(_Top(self._model), named, (x, draws)))

        run = cast(Callable[..., TopDraws], vmap(single))
        return run(self._parameters, draws)

    def _run_units(self, x: Tensor, draws: Draws) -> list[tuple[Tensor, Tensor]]:
        """Return moments over draws [S, I, …] of all posterior means on images [B, D], by layer."""
        form = ("units", *(piece.shape for piece in draws.base))
        if form not in self._runs:

            def run(x: Tensor, *base: Tensor) -> Sequence[Tensor]:
                return self._run_units_packed(x, Draws(base, (), (), ()))

            self._runs[form] = self._captured(run)
        moments = self._runs[form](x, *draws.base)
        return list(zip(moments[::2], moments[1::2], strict=True))

    def _run_units_packed(self, x: Tensor, draws: Draws) -> tuple[Tensor, ...]:
        """Return the moments layer after layer, mean and variance in turn."""

        def single(parameters: dict[str, Tensor], draws: Draws) -> tuple[Tensor, ...]:
            named = {f"system.{name}": value for name, value in parameters.items()}
            return cast(tuple[Tensor, ...], functional_call(_Units(self._model), named, (x, draws)))

        run = cast(Callable[..., tuple[Tensor, ...]], vmap(single))
        return run(self._parameters, self._own(draws))

    def _own(self, draws: Draws) -> Draws:
        """Return each member's draws [P, …] of those of the seeds [S, …]."""
        return Draws(*(tuple(self._of_members(piece) for piece in group) for group in draws))

    def _of_members(self, values: Tensor) -> Tensor:
        """Return what each member has [P, …] of what the seeds have [S, …]."""
        return values if self._one_seed_each else values[self._seed_rows]

    def _gradient_variances(self, row: int) -> dict[str, float | None]:
        own = {name: value[row] for name, value in self._parameters.items()}
        seed = self.members[self._rows[row]][1]
        return gradient_variances(self._model, own, self.cell, self._validation, seed)

    @torch.no_grad()
    def _measure_validation(self) -> dict[str, Tensor]:
        """Return the metrics of all rows on the validation split but the gradient's variance."""
        measured = self._evaluator.measure(self._validation)
        return measured | {"objective_nats": self._evaluator.objective(self._validation)}

    @torch.no_grad()
    def _measure_test(self, samples: int) -> dict[str, Tensor]:
        """Return the metrics of all rows on the test split."""
        images = self._fixed("test", self._test_split)
        measured = {f"test_{name}": value for name, value in self._evaluator.measure(images).items()}
        row_bytes = importance_sample_bytes(self.cell, self._model.image_shape)
        rows = self._evaluation_bytes // (len(self._rows) * row_bytes)
        return measured | {"test_bound_nats": self._evaluator.bound(images, samples, rows).mean(-1)}

    @torch.no_grad()
    def _test(self, samples: int) -> None:
        """Measure the members that have not diverged, at their selected weights, on the test split."""
        if self._all_diverged:
            return
        last = {name: value.clone() for name, value in self._parameters.items()}
        steps = [self.step] * len(self._rows)
        if self._best is not None:
            self._load(self._best.parameters)
            steps = self._best.steps.tolist()
        measured = self._measure_test(samples)
        self._load(last)
        for row, member in enumerate(self._rows):
            if member not in self._diverged:
                self._tests[member] = {"selected_step": steps[row], **values_of(measured, row)}

    def _load(self, parameters: dict[str, Tensor]) -> None:
        for name, value in self._parameters.items():
            value.data.copy_(parameters[name])

    def _fixed(self, split: str, images: Images) -> Tensor:
        """Return a split's images, binarized once and for all members alike."""
        fixed = torch.from_numpy(images)
        if self._dynamic:
            fixed = binarize(fixed, stream(torch.device("cpu"), split))
        return fixed.to(self._device, self._dtype)

    def _note_diverged(self, values: Tensor, step: Tensor | int) -> None:
        """Note the step for members [P] whose value is the first that is not finite, without a host sync."""
        newly_bad = ~values.isfinite() & (self._bad_step < 0)
        self._bad_step.copy_(torch.where(newly_bad, step, self._bad_step))

    def _freeze_diverged(self) -> list[int]:
        """Note who diverged, and take them out of the pack where its shape may change.

        Returns:
            The rows that are kept; the members in them keep their numbers.
        """
        bad = self._bad_step.tolist()
        self._diverged |= {self._rows[row]: step for row, step in enumerate(bad) if step >= 0}
        if self._device.type == "cuda":
            return list(range(len(bad)))
        kept = [row for row, step in enumerate(bad) if step < 0]
        if len(kept) < len(bad):
            self._keep(kept)
        return kept

    def _keep(self, rows: list[int]) -> None:
        """Shrink the stacked state to those rows."""
        index = torch.tensor(rows, dtype=torch.int64, device=self._device)
        for value in self._parameters.values():
            value.data = value.data[index]
        self._optimizer.keep(index)
        if self._best is not None:
            self._best.keep(index)
        self._bad_step = self._bad_step[index]
        self._rows = [self._rows[row] for row in rows]
        self._place_members()

    def _place_members(self) -> None:
        members = [self.members[member] for member in self._rows]
        self._rho = torch.tensor([rho for rho, _ in members], dtype=self._dtype, device=self._device)
        rows = [self._seeds.index(seed) for _, seed in members]
        self._seed_rows = torch.tensor(rows, dtype=torch.int64, device=self._device)
        self._one_seed_each = rows == list(range(len(self._seeds)))
        if self.cell.steps < WRITTEN_DOWN_FROM:
            self._step = as_written(self.cell, self._model)
        else:
            self._step = written_down(self.cell, self._model.image_shape, len(members), self._device)
        self._update = self._captured(self._take_step)
        self._runs = {}
