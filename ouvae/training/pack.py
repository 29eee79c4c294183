"""Packed training: the members of a pack train as one.

The P models of a pack have the same shape, and differ in control parameters, seed and weights. Their
parameters are stacked along a leading axis, and `torch.func.vmap` runs a single model over that axis, so
every single model trains packed. Members never mix: each has the numbers that it would have alone, up to
rounding.

On a GPU a step is one CUDA graph, and so are the repeated parts of an evaluation. The shape of a graph is
fixed, so members that diverged stay in the pack there and are ignored.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from ouvae.data import Dataset, Images
from ouvae.declared import METRICS, TEST_METRICS, Cell
from ouvae.declared.controls import RHO
from ouvae.parts.networks import Shape
from ouvae.systems import Draws, System, Terms, build, leading_axes
from ouvae.training.controls import check_values, opened, with_buffers
from ouvae.training.counts import importance_sample_bytes
from ouvae.training.device import usable_device
from ouvae.training.evaluation.evaluator import Evaluator
from ouvae.training.evaluation.gradients import gradient_variances
from ouvae.training.evaluation.metrics import completed, unit_moments, values_of
from ouvae.training.feed import BLOCK_STEPS, Feed
from ouvae.training.noise import binarize, cut_draws, stream
from ouvae.training.outcome import Measured, Outcome, Sheet, Values
from ouvae.training.selection import BestWeights
from ouvae.training.sheet import is_drawable, sheet_of
from ouvae.training.step.adam import Adam
from ouvae.training.step.captured import Captured, Function
from ouvae.training.step.objectives import loss
from ouvae.training.step.precision import weights_dtype
from ouvae.training.step.step import TRACED_FROM, Inputs, Losses, eager_step, member_terms, traced_step

GIB = 2**30


def initial_model(cell: Cell, image_shape: Shape, seed: int) -> System:
    """Return a model with the initial weights of a seed, the same for every rho.

    Modules draw their weights from the default generator: it is set to the seed's stream here, and restored.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.set_state(stream(torch.device("cpu"), "weights", seed).get_state())
        model = build(cell, image_shape)
    return model.to(weights_dtype(cell))


def trained_model(cell: Cell, image_shape: Shape, weights: Mapping[str, Tensor]) -> System:
    """Return a single model with a member's weights, in evaluation mode and without gradients, on the CPU.

    Raises:
        RuntimeError: the weights differ in names or shapes from the model's.
    """
    model = initial_model(cell, image_shape, seed=0)
    model.load_state_dict(weights)
    return model.eval().requires_grad_(False)


def pack_of(
    cell: Cell,
    control: str,
    members: Sequence[tuple[float, int]],
    data: Dataset,
    device: torch.device | str = "cpu",
    evaluation_bytes: int = GIB,
) -> "PackTraining":
    """Return the pack of members that differ in one control parameter, given by its value and their seeds.

    Raises as `PackTraining`.
    """
    values = {} if control == RHO else {control: [value for value, _ in members]}
    of_rho = members if control == RHO else [(cell.rho, seed) for _, seed in members]
    return PackTraining(cell, of_rho, data, device, evaluation_bytes, values)


_SystemFunction: TypeAlias = Callable[[System, Tensor, Draws], tuple[Tensor, ...]]


class _Call(nn.Module):
    """A function of a system as a `forward`, which is all that `functional_call` can call."""

    def __init__(self, system: System, function: _SystemFunction) -> None:
        super().__init__()
        self.system, self._function = system, function

    def forward(self, x: Tensor, draws: Draws) -> tuple[Tensor, ...]:
        return self._function(self.system, x, draws)


def _top(system: System, x: Tensor, draws: Draws) -> tuple[Tensor, ...]:
    """Return mean and log scale of the top layer, in the shape of z."""
    top = system.top_draw(x, draws)
    return top.mean.expand_as(top.z), top.log_scale.expand_as(top.z)


def _unit_moments(system: System, x: Tensor, draws: Draws) -> tuple[Tensor, ...]:
    """Return mean and variance over draws of the posterior means, layer after layer."""
    means = system.posterior_means(x, draws)
    return tuple(moment for layer in means for moment in unit_moments(layer))


class PackTraining:
    """P members of one cell in training.

    Args:
        cell: of all members.
        members: rho and seed of each.
        data: its test split is used only if the cell has `bound_samples`.
        device: where the members train.
        evaluation_bytes: memory for the evaluation of L_k, which works in chunks.
        values: of other control parameters in which members differ, one for each member, instead of the
            cell's value.

    Raises:
        ValueError: a key in `values` is no control parameter or not used in the model, or the number of
            values is another one than that of members.
    """

    def __init__(
        self,
        cell: Cell,
        members: Sequence[tuple[float, int]],
        data: Dataset,
        device: torch.device | str = "cpu",
        evaluation_bytes: int = GIB,
        values: Mapping[str, Sequence[float]] = MappingProxyType({}),
    ) -> None:
        check_values(values, len(members))
        self.cell = cell
        self.members = list(members)
        self.step = 0
        self._evaluation_bytes = evaluation_bytes
        self._device = usable_device(device)
        self._dtype = weights_dtype(cell)
        self._seeds = sorted({seed for _, seed in members})
        self._control_values = {"rho": [rho for rho, _ in members], **values}
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
            self._losses_of,
            self._per_member,
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
        self._buffers = opened(self._model, values)
        self._optimizer = Adam(
            list(self._parameters.values()), self._rate("learning_rate"), self._rate("weight_decay")
        )
        self._bad_step = torch.full((len(members),), -1, device=self._device)
        self._best = BestWeights(self._parameters, len(members)) if cell.select == "best" else None
        self._update_rows()

    @property
    def parameters_per_member(self) -> int:
        """Number of trained parameters of a member."""
        return sum(value.shape[1:].numel() for value in self._parameters.values())

    @property
    def done(self) -> bool:
        """Whether every member has done its steps or diverged."""
        return self.step >= self.cell.steps or self._all_diverged

    @property
    def _all_diverged(self) -> bool:
        return len(self._diverged) == len(self.members)

    def train_step(self) -> None:
        """Take one optimizer step, and evaluate where an evaluation is due."""
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
        """Append an evaluation to every member's history, and freeze the members that diverged.

        A member whose evaluation is not finite has diverged, even if its last loss was finite.
        """
        if self._all_diverged:
            return
        measured = self._measure_validation()
        elbo = measured["elbo_nats"]
        self._note_diverged(elbo + measured["objective_nats"], self.step)
        kept = self._freeze_diverged()
        if self._best is not None:
            self._best.note(self._parameters, elbo[kept], self.step)
        for row, measured_row in enumerate(kept):
            if (member := self._rows[row]) not in self._diverged:
                metrics = values_of(measured, measured_row) | self._gradient_variances(row)
                self._histories[member].append({"step": self.step, **metrics})

    def outcomes(self) -> list[Outcome]:
        """Return the result of each member, in the order of `members`."""
        return [
            Outcome(rho, seed, self._histories[index], self._diverged.get(index), self._tests.get(index))
            for index, (rho, seed) in enumerate(self.members)
        ]

    def weights(self, best: bool = False) -> tuple[list[int], dict[str, Tensor]]:
        """Return the indices of members that have not diverged, and their weights by name, [P, …] each.

        `best` gives the weights at the highest validation ELBO, if the cell has `select: best`.
        """
        source = self._best.parameters if best and self._best is not None else self._parameters
        rows = [row for row, member in enumerate(self._rows) if member not in self._diverged]
        kept = {name: value.detach()[rows].cpu().contiguous() for name, value in source.items()}
        return [self._rows[row] for row in rows], kept

    def sheets(self, places: Collection[int]) -> dict[int, Sheet]:
        """Return the sheets of members at their last weights, by index in `members`.

        There are none of members that diverged, and none of observations that are not images. Raises as
        `sheet_of`.
        """
        shape = self._model.image_shape
        if not is_drawable(shape) or not places:
            return {}
        kept, weights = self.weights()
        return {
            member: sheet_of(
                trained_model(self.cell, shape, {name: value[row] for name, value in weights.items()}),
                self._validation,
                self.members[member][1],
            )
            for row, member in enumerate(kept)
            if member in places
        }

    def measured(
        self, places: Sequence[int], weights: Mapping[str, Tensor], diverged: Mapping[int, int]
    ) -> dict[int, Measured]:
        """Return the metrics of members at given weights, by index in `members`.

        The pack must not have been trained. It takes the shape that it had after training: the last weights
        give the numbers of the last evaluation to the bit, the selected weights those of the test split.

        `places` and `weights` are as the method `weights` returns them; `diverged` has the steps at which the
        other members diverged, by index.

        Raises:
            ValueError: the weights differ in names or shapes from the members' parameters.
        """
        shapes = {name: (len(places), *value.shape[1:]) for name, value in self._parameters.items()}
        if shapes != {name: tuple(value.shape) for name, value in weights.items()}:
            raise ValueError("names or shapes of the weights differ from those of the members' parameters")
        before_last = (self.cell.steps - 1) // self.cell.eval_every * self.cell.eval_every
        rows = self._remove({place for place, step in diverged.items() if step <= before_last}, places)
        for name, value in self._parameters.items():
            value.data[rows] = weights[name].to(value)
        metrics = self._measure_validation()
        validation = [values_of(metrics, row) | self._gradient_variances(row) for row in rows]
        test: list[Values | None] = [None] * len(rows)
        if self.cell.bound_samples:
            rows = self._remove({*diverged}, places)
            metrics = self._measure_test(self.cell.bound_samples)
            test = [values_of(metrics, row) for row in rows]
        measured = map(Measured, validation, test)
        return dict(zip(places, measured, strict=True))

    def _remove(self, diverged: Collection[int], places: Sequence[int]) -> list[int]:
        """Remove diverged members where the shape may change; return the rows of the members at `places`."""
        if self._device.type != "cuda":
            self._keep([row for row, place in enumerate(self._rows) if place not in diverged])
        return [self._rows.index(place) for place in places]

    def losses_and_gradients(self) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Return the next minibatch's loss [P], gradients [P, …] and KLs [P, L], without a step.

        The minibatch and its noise are used up. This is for checks of packing.
        """
        losses, kl, gradients = self._losses(*self._next_inputs())
        return losses, dict(zip(self._parameters, gradients, strict=True)), kl

    def state_dict(self) -> dict[str, Any]:
        """Return the state in tensors and plain values, from which `load_state_dict` continues exactly."""
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
        """Continue from the state of a pack with the same cell, members and data.

        Metrics that were declared after the state was saved are None in its evaluations.
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
        """Return the seeds' next minibatches [S, B, D] and draws [S, n], and the factor of KL warm-up."""
        steps = self.cell.kl_warmup
        warmup = min(1.0, self.step / steps) if steps else 1.0
        return *self._feed.next(), torch.full((), warmup, dtype=self._dtype, device=self._device)

    def _losses(self, x: Tensor, flat: Tensor, warmup: Tensor) -> Losses:
        leading = leading_axes(x.shape[1], self.cell.importance_samples)
        draws = self._member_draws(cut_draws(self.cell, leading, flat))
        return self._step(self._parameters, Inputs(self._per_member(x), draws, self._values, warmup))

    def _losses_of(self, terms: Terms) -> Tensor:
        """Return every member's loss [P] from its terms, without KL warm-up."""

        def single(terms: Terms, values: dict[str, Tensor]) -> Tensor:
            return loss(self.cell, terms, values=values)

        return cast(Callable[..., Tensor], vmap(single))(terms, self._values)

    def _take_step(self, x: Tensor, flat: Tensor, warmup: Tensor, number: Tensor) -> tuple[()]:
        """Take one step, by operations on tensors that stay in place."""
        losses, _, gradients = self._losses(x, flat, warmup)
        self._optimizer.step(gradients)
        self._note_diverged(losses, number)
        return ()

    def _run(self, x: Tensor, draws: Draws, *, smoothed: bool, closed_form: bool) -> Terms:
        """Run every member on images [B, D] with the draws [S, …] of its seed."""
        pieces = [piece for group in draws for piece in group]
        key = (smoothed, closed_form, *(piece.shape for piece in pieces))
        if key not in self._runs:
            counts = [len(group) for group in draws]

            def single(state: dict[str, Tensor], x: Tensor, draws: Draws, rho: Tensor) -> Terms:
                return member_terms(self._model, state, x, draws, rho if smoothed else None, closed_form)

            packed = cast(Callable[..., Terms], vmap(single, in_dims=(0, None, 0, 0)))

            def run(x: Tensor, *flat: Tensor) -> Sequence[Tensor]:
                ordered = iter(flat)
                cut = Draws(*(tuple(next(ordered) for _ in range(count)) for count in counts))
                terms = packed(self._state, x, self._member_draws(cut), self._values["rho"])
                return terms.log_likelihood, terms.kl, *terms.means

            self._runs[key] = self._captured(run)
        log_likelihood, kl, *means = self._runs[key](x, *pieces)
        return Terms(log_likelihood, kl, tuple(means))

    def _captured(self, function: Function) -> Function:
        return Captured(function) if self._device.type == "cuda" else function

    def _run_top(self, x: Tensor, draws: Draws) -> tuple[Tensor, ...]:
        """Return mean and log scale of every member's top layer on images [B, D] with draws [P, …]."""
        return self._call(_top, x, draws)

    def _run_units(self, x: Tensor, draws: Draws) -> Sequence[Tensor]:
        """Return moments of all posterior means over draws [S, I, …] on images [B, D]."""
        key = ("units", *(piece.shape for piece in draws.base))
        if key not in self._runs:

            def run(x: Tensor, *base: Tensor) -> Sequence[Tensor]:
                return self._call(_unit_moments, x, self._member_draws(Draws(base, (), (), ())))

            self._runs[key] = self._captured(run)
        return self._runs[key](x, *draws.base)

    def _call(self, function: _SystemFunction, x: Tensor, draws: Draws) -> tuple[Tensor, ...]:
        """Return a function of every member's system, on images [B, D] with draws [P, …]."""
        call = _Call(self._model, function)

        def single(state: dict[str, Tensor], draws: Draws) -> tuple[Tensor, ...]:
            named = {f"system.{name}": value for name, value in state.items()}
            return cast(tuple[Tensor, ...], functional_call(call, named, (x, draws)))

        run = cast(Callable[..., tuple[Tensor, ...]], vmap(single))
        return run(self._state, draws)

    @property
    def _state(self) -> dict[str, Tensor]:
        """Parameters, and values of control parameters inside the model: [P, …] by name."""
        return with_buffers(self._parameters, self._buffers, self._values)

    def _rate(self, name: str) -> float | Tensor:
        """Return a number of the optimizer: of all members, or of each [P]."""
        if name not in self._control_values:
            return getattr(self.cell, name)  # type: ignore[no-any-return]
        return torch.tensor(self._control_values[name], dtype=self._dtype, device=self._device)

    def _member_draws(self, draws: Draws) -> Draws:
        """Return the draws of each member, [P, …], from those of the seeds, [S, …]."""
        return Draws(*(tuple(self._per_member(piece) for piece in group) for group in draws))

    def _per_member(self, values: Tensor) -> Tensor:
        """Return a value for each member, [P, …], from the values of the seeds, [S, …]."""
        return values if self._rows_are_seeds else values[self._seed_rows]

    def _gradient_variances(self, row: int) -> dict[str, float | None]:
        state = {name: value[row] for name, value in self._state.items()}
        _, seed = self.members[self._rows[row]]
        return gradient_variances(self._model, state, self.cell, self._validation, seed)

    @torch.no_grad()
    def _measure_validation(self) -> dict[str, Tensor]:
        """Return the metrics of all rows on the validation split, without the gradient's variance."""
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
        """Return a split's images, binarized once for all members."""
        fixed = torch.from_numpy(images)
        if self._dynamic:
            fixed = binarize(fixed, stream(torch.device("cpu"), split))
        return fixed.to(self._device, self._dtype)

    def _note_diverged(self, values: Tensor, step: Tensor | int) -> None:
        """Note the step at which a member's value [P] is first not finite, without a host sync."""
        newly_bad = ~values.isfinite() & (self._bad_step < 0)
        self._bad_step.copy_(torch.where(newly_bad, step, self._bad_step))

    def _freeze_diverged(self) -> list[int]:
        """Note which members diverged, and remove them where the pack's shape may change.

        Returns:
            The rows that stay.
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
        """Shrink the stacked state to these rows."""
        index = torch.tensor(rows, dtype=torch.int64, device=self._device)
        for value in self._parameters.values():
            value.data = value.data[index]
        self._optimizer.keep(index)
        if self._best is not None:
            self._best.keep(index)
        self._bad_step = self._bad_step[index]
        self._rows = [self._rows[row] for row in rows]
        self._update_rows()

    def _update_rows(self) -> None:
        self._values = {
            name: torch.tensor(
                [of_members[member] for member in self._rows], dtype=self._dtype, device=self._device
            )
            for name, of_members in self._control_values.items()
        }
        rows = [self._seeds.index(self.members[member][1]) for member in self._rows]
        self._seed_rows = torch.tensor(rows, dtype=torch.int64, device=self._device)
        self._rows_are_seeds = rows == list(range(len(self._seeds)))
        if self.cell.steps < TRACED_FROM:
            self._step = eager_step(self.cell, self._model, self._buffers)
        else:
            varied = tuple(name for name in self._control_values if name != "rho")
            shape = self._model.image_shape
            self._step = traced_step(self.cell, shape, len(rows), self._device, varied)
        self._update = self._captured(self._take_step)
        self._runs = {}
