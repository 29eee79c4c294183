"""The plain way: one model, a loop, PyTorch's own optimizer. What packs are compared with."""

import torch
from torch import Tensor

from ouvae.data import Dataset
from ouvae.declared import Cell
from ouvae.systems import System
from ouvae.training.evaluation.evaluator import (
    EVALUATION_CHUNK,
    EVALUATION_DRAWS,
    UNIT_CHUNK,
    UNIT_DRAWS,
    UNIT_IMAGES,
)
from ouvae.training.evaluation.metrics import UnitMoments, active_units, unit_moments
from ouvae.training.noise import Minibatches, binarize, single_draws, stream
from ouvae.training.outcome import Values
from ouvae.training.pack import initial_model
from ouvae.training.step.precision import weights_dtype

CPU = torch.device("cpu")


class PlainMember:
    """A member that trains the ELBO by itself."""

    def __init__(self, cell: Cell, data: Dataset, rho: float, seed: int, device: torch.device = CPU) -> None:
        self.cell, self.seed, self.done = cell, seed, 0
        dtype = weights_dtype(cell)
        dynamic = data.binarization == "dynamic"
        train = torch.from_numpy(data.train).to(device, dtype)
        self.model = initial_model(cell, data.image_shape, seed).to(device)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(),
            lr=cell.learning_rate,
            weight_decay=cell.weight_decay,
            decoupled_weight_decay=True,
        )
        self.minibatches = Minibatches(train, dynamic, cell.batch_size, seed)
        validation = torch.from_numpy(data.validation)[: cell.eval_images]
        if dynamic:
            validation = binarize(validation, stream(CPU, "validation"))
        self.validation = validation.to(device, dtype)
        self.noise = stream(device, "noise", seed)
        self.rho = torch.tensor(rho, dtype=dtype, device=device)

    def step(self) -> None:
        """Take an optimizer step."""
        cell = self.cell
        (x,) = self.minibatches.next(1)
        terms = self.model(x, single_draws(cell, (len(x),), self.noise, x.dtype), self.rho)
        weight = min(1.0, self.done / cell.kl_warmup) if cell.kl_warmup else 1.0
        loss = (weight * terms.kl.sum(0) - terms.log_likelihood).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.done += 1

    def train(self) -> list[Values]:
        """Take the cell's steps and return the evaluations."""
        history = [self.evaluate()]
        while self.done < self.cell.steps:
            self.step()
            if self.done % self.cell.eval_every == 0 or self.done == self.cell.steps:
                history.append(self.evaluate())
        return history

    @torch.no_grad()
    def evaluate(self) -> Values:
        """Return the metrics on the validation images."""
        plain, smoothed = self._averages(None), self._averages(self.rho)
        return {
            "step": self.done,
            "elbo_nats": (plain[0] - plain[1:].sum()).item(),
            "objective_nats": (smoothed[0] - smoothed[1:].sum()).item(),
            "reconstruction_nats": plain[0].item(),
            "kl_nats": plain[1:].tolist(),
            "kl_top_nats": plain[-1].item(),
            "active_units": self._active_units(),
        }

    def _averages(self, rho: Tensor | None) -> Tensor:
        """Return log likelihood and KLs [1 + L]."""
        cell, images = self.cell, self.validation
        model: System = self.model
        noise = stream(images.device, "evaluation", self.seed)
        total = torch.zeros(1 + len(cell.latents), dtype=images.dtype, device=images.device)
        for chunk in torch.split(images, EVALUATION_CHUNK):
            for _ in range(EVALUATION_DRAWS):
                terms = model(chunk, single_draws(cell, (len(chunk),), noise, images.dtype), rho)
                total += torch.cat([terms.log_likelihood[None], terms.kl]).sum(-1)
        return total / (EVALUATION_DRAWS * len(images))

    def _active_units(self) -> list[int]:
        """Return the active units of each layer."""
        images = self.validation[:UNIT_IMAGES]
        cell = self.cell.model_copy(update={"smoothed_networks": ()})
        noise = stream(images.device, "units", self.seed)
        chunks = []
        for chunk in torch.split(images, UNIT_CHUNK):
            draws = single_draws(cell, (UNIT_DRAWS, len(chunk)), noise, images.dtype)
            chunks.append([unit_moments(layer) for layer in self.model.posterior_means(chunk, draws)])
        layers = zip(*chunks, strict=True)
        parts = [[torch.cat(moment)[None] for moment in zip(*layer, strict=True)] for layer in layers]
        return [int(active_units(UnitMoments(mean, variance, UNIT_DRAWS))) for mean, variance in parts]
