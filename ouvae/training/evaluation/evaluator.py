"""Evaluation of packed members on fixed images: the ELBO and its parts, the objective, the bound L_k.

The pack passes functions that run all its members. Evaluations have separate noise streams, so they neither
disturb training nor depend on its progress.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from ouvae.declared import Cell
from ouvae.parts.distributions import gaussian_kl_to_standard
from ouvae.parts.networks import Shape
from ouvae.systems import Draws, Terms, draw_shapes, leading_axes
from ouvae.training.evaluation.information import (
    INFORMATION_IMAGES,
    INFORMATION_PROPOSALS,
    INFORMATION_SAMPLES,
    Information,
    information,
    probe_count,
)
from ouvae.training.evaluation.metrics import UnitMoments, active_units, active_units_one_draw, signal_share
from ouvae.training.noise import sample_draws, stream

EVALUATION_DRAWS = 2
"""Independent draws per image."""

EVALUATION_CHUNK = 500
"""Images evaluated at once, to bound memory. It determines the evaluation noise."""

UNIT_DRAWS = 16
"""Draws of the layers below for each image, to estimate active units and the share of signal."""

UNIT_IMAGES = 500
"""Maximum number of images to estimate active units and the share of signal."""

UNIT_CHUNK = 100
"""Images whose units are drawn at once, to bound memory. It determines their noise."""

INFORMATION_DRAWS = 16
"""Draws of each image's top layer at once for the information, to bound memory."""

BOUND_IMAGES = 100
"""Images in a group of L_k. It determines the noise of L_k."""

BOUND_SAMPLES = 10
"""Importance samples in a block of L_k. It determines the noise of L_k."""


Run: TypeAlias = Callable[..., Terms]
"""Returns all members' terms, with a leading axis P, from images [B, D] and noise [S, ...] of the seeds.
Keywords: `smoothed` (with each member's rho, or not at all) and `closed_form` (see `System.forward`)."""

RunTop: TypeAlias = Callable[[Tensor, Draws], tuple[Tensor, ...]]
"""Gives mean and log scale of all members' top layers, [P, I, B, d_L] each, with noise [P, ...]."""

PerMember: TypeAlias = Callable[[Tensor], Tensor]
"""Gives the values of the members, [P, ...], from the values of the seeds, [S, ...]."""

LossOf: TypeAlias = Callable[[Terms], Tensor]
"""Gives all members' losses [P] from their terms."""

RunUnits: TypeAlias = Callable[[Tensor, Draws], Sequence[Tensor]]
"""Gives mean and variance of all members' posterior means over I draws, [P, B, units], layer after layer."""


class _Averages(NamedTuple):
    """Means over draws and images, with some values of single images."""

    log_likelihood: Tensor  # [P]
    kl: Tensor  # [P, L]
    means: list[Tensor]  # [P, N, d] posterior means of each layer at the first draw
    kl_top: Tensor  # [P, N] the top layer's KL of each image, mean over draws


@dataclass(frozen=True)
class Evaluator:
    """Evaluates the members of a cell. `seeds` are the distinct seeds, in the order of the draws."""

    cell: Cell
    run: Run
    run_top: RunTop
    run_units: RunUnits
    loss_of: LossOf
    per_member: PerMember
    seeds: Sequence[int]
    device: torch.device
    dtype: torch.dtype

    def measure(self, images: Tensor) -> dict[str, Tensor]:
        """Return the metrics of [N, D] images without smoothing, [P] or [P, L], by their declared names."""
        log_likelihood, kl, means, kl_top = self._averages(images, smoothed=False)
        units = self.units(images[:UNIT_IMAGES])
        share = torch.stack([signal_share(layer) for layer in units], dim=1)
        active = torch.stack([active_units(layer) for layer in units], dim=1)
        one_draw = torch.stack([active_units_one_draw(layer) for layer in means], dim=1)
        nats, kl_units = self.top_layer(images[:INFORMATION_IMAGES])
        return {
            "kl_top_nats": kl[:, -1],
            "kl_top_nats_sd": kl_top.std(1, correction=0),
            "kl_top_pair_nats": kl[:, -2:].sum(1),
            "kl_nats": kl,
            "kl_units_top_nats": kl_units,
            "information_top_nats": nats.estimate,
            "information_top_lower_nats": nats.lower,
            "information_top_upper_nats": nats.upper,
            "signal_share_top": share[:, -1],
            "signal_share": share,
            "elbo_nats": log_likelihood - kl.sum(1),
            "reconstruction_nats": log_likelihood,
            "active_units_top": active[:, -1],
            "active_units": active,
            "active_units_one_draw_top": one_draw[:, -1],
            "active_units_one_draw": one_draw,
        }

    def units(self, images: Tensor) -> list[UnitMoments]:
        """Return moments of each layer's posterior means on [N, D] images, without smoothing."""
        generators = self._streams("units")
        chunks: list[Sequence[Tensor]] = []
        for chunk in torch.split(images, UNIT_CHUNK):
            draws = sample_draws(self._plain, (UNIT_DRAWS, len(chunk)), generators, self.dtype)
            chunks.append(self.run_units(chunk, draws))
        moments = [torch.cat(parts, 1) for parts in zip(*chunks, strict=True)]
        layers = zip(moments[::2], moments[1::2], strict=True)
        return [UnitMoments(mean, variance, UNIT_DRAWS) for mean, variance in layers]

    def top_layer(self, images: Tensor) -> tuple[Information, Tensor]:
        """Measure the top layer on [N, D] images, in nats.

        Returns:
            Its information about the images, [P] each; and the KL of each unit from a standard normal,
            [P, d_L], the largest first.
        """
        generators = self._streams("information")
        draws, proposals, count = INFORMATION_SAMPLES, INFORMATION_PROPOSALS, len(images)
        probes, _ = self._noise((probe_count(sum(self._base_sizes[:-1])), 1), generators)
        e, noise = self._noise((draws, count), generators)
        prior = [
            values.view(len(values), proposals, draws, count, values.shape[-1])
            for values in self._noise((proposals * draws, count), generators)
        ]
        top = partial(self._top, images)
        mean, log_scale = top(e)
        z = mean + log_scale.exp() * noise
        kl = gaussian_kl_to_standard(mean[..., None], log_scale[..., None]).mean((1, 2))
        return information(top, probes.squeeze(2), e, z, *prior), kl.sort(descending=True).values

    @property
    def _base_sizes(self) -> list[int]:
        return [shape[-1] for shape in draw_shapes(self._plain, (1,)).base]

    def _noise(self, leading: Shape, generators: Sequence[torch.Generator]) -> tuple[Tensor, Tensor]:
        """Return base noise of the members: [P, *leading, D] below the top, [P, *leading, d_L] of the top."""
        base = sample_draws(self._plain, leading, generators, self.dtype).base
        *below, top = (self.per_member(piece) for piece in base)
        return torch.cat([top[..., :0], *below], -1), top

    def _top(self, images: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log scale [P, I, B, d_L] of the top layer at noise [P, I, B, D] below it."""
        sizes = self._base_sizes
        means, log_scales = [], []
        for chunk in torch.split(e, INFORMATION_DRAWS, 1):
            unused = chunk.new_zeros(*chunk.shape[:-1], sizes[-1])
            *below, _ = torch.split(torch.cat([chunk, unused], -1), sizes, -1)
            mean, log_scale = self.run_top(images, Draws((*below, unused), (), (), ()))
            means.append(mean)
            log_scales.append(log_scale)
        return torch.cat(means, 1), torch.cat(log_scales, 1)

    def objective(self, images: Tensor) -> Tensor:
        """Return the smoothed objective [P] on [N, D] images, in nats, with the weights after KL warm-up.

        Unlike any other metric it includes `kl_weight` and `top_kl_weight`. Free bits apply to the mean over
        all images, in training to the mean over a minibatch.
        """
        if self.cell.importance_samples == 1:
            log_likelihood, kl, *_ = self._averages(images, smoothed=True)
            return -self.loss_of(Terms(log_likelihood[:, None], kl[..., None], ()))
        total: Tensor | float = 0.0
        for _, terms in self._terms(images, smoothed=True, samples=self.cell.importance_samples):
            total = total - terms.kl.shape[-1] * self.loss_of(terms)
        return torch.as_tensor(total) / (EVALUATION_DRAWS * len(images))

    def _averages(self, images: Tensor, *, smoothed: bool) -> _Averages:
        total: Tensor | float = 0.0
        means: list[tuple[Tensor, ...]] = []
        kl_top: list[list[Tensor]] = [[] for _ in range(EVALUATION_DRAWS)]
        for draw, terms in self._terms(images, smoothed=smoothed):
            total = total + torch.cat([terms.log_likelihood[:, None], terms.kl], dim=1).sum(-1)
            kl_top[draw].append(terms.kl[:, -1])
            if draw == 0:
                means.append(terms.means)
        average = torch.as_tensor(total) / (EVALUATION_DRAWS * len(images))
        kl_top_of_images = torch.stack([torch.cat(chunks, 1) for chunks in kl_top]).mean(0)
        first_means = [torch.cat(chunks, 1) for chunks in zip(*means, strict=True)]
        return _Averages(average[:, 0], average[:, 1:], first_means, kl_top_of_images)

    def bound(self, images: Tensor, samples: int, rows: int) -> Tensor:
        """Return L_k, log (1/k) sum_k p(x, z)/q(z|x), k = `samples`, of [N, D] images: [P, N] nats.

        `rows` is the number of images times samples of a member to run at once, at least one block of one
        image. Each group of `BOUND_IMAGES` images and block of `BOUND_SAMPLES` samples has a separate stream,
        so that `rows` changes memory and rounding only.
        """
        blocks = range(math.ceil(samples / BOUND_SAMPLES))
        bounds = []
        for group, chunk in enumerate(torch.split(images, BOUND_IMAGES)):
            blocks_at_once = max(1, rows // (len(chunk) * BOUND_SAMPLES))
            images_at_once = min(len(chunk), max(1, rows // BOUND_SAMPLES))
            parts = []
            for start in range(0, len(blocks), blocks_at_once):
                base = self._joined(group, blocks[start : start + blocks_at_once], len(chunk))
                tensors = (chunk, *base)
                pieces = zip(*(torch.split(tensor, images_at_once, -2) for tensor in tensors), strict=True)
                parts.append(torch.cat([self._log_weights(x, noise) for x, *noise in pieces], dim=2))
            log_weights = torch.cat(parts, dim=1)[:, :samples]
            bounds.append(log_weights.logsumexp(1) - math.log(samples))
        return torch.cat(bounds, dim=1)

    def _log_weights(self, images: Tensor, base: Sequence[Tensor]) -> Tensor:
        """Return log p(x, z)/q(z|x) of [B, D] images and base noise [S, I, B, d]: [P, I, B]."""
        draws = Draws(tuple(base), (), (), ())
        terms = self.run(images, draws, smoothed=False, closed_form=False)
        return terms.log_likelihood - terms.kl.sum(1)

    def _joined(self, group: int, blocks: Sequence[int], count: int) -> list[Tensor]:
        """Return the base noise of each layer in these blocks of samples, [S, I, count, d]."""
        parts = [
            sample_draws(
                self._plain, (BOUND_SAMPLES, count), self._streams("bound", group, block), self.dtype
            )
            for block in blocks
        ]
        bases = zip(*(part.base for part in parts), strict=True)
        return [torch.cat(base, dim=1) for base in bases]

    def _terms(self, images: Tensor, *, smoothed: bool, samples: int = 1) -> Iterator[tuple[int, Terms]]:
        """Yield the number of the draw and the terms, for chunks of images."""
        generators = self._streams("evaluation")
        for chunk in torch.split(images, EVALUATION_CHUNK):
            for draw in range(EVALUATION_DRAWS):
                leading = leading_axes(len(chunk), samples)
                draws = sample_draws(self.cell, leading, generators, self.dtype)
                yield draw, self.run(chunk, draws, smoothed=smoothed, closed_form=samples == 1)

    @property
    def _plain(self) -> Cell:
        """The cell without smoothing, which draws noise for the layers only."""
        return self.cell.model_copy(update={"smoothed_networks": ()})

    def _streams(self, *names: object) -> list[torch.Generator]:
        return [stream(self.device, *names, seed) for seed in self.seeds]
