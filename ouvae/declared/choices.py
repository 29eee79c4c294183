"""The choices of systems, data sets, likelihoods, objectives and architectures, with their traits.

A new choice is a module, and an entry here.
"""

from ouvae.declared.registry import Registry
from ouvae.declared.traits import ArchitectureTraits, DatasetTraits, LikelihoodTraits, SystemTraits, Traits

SYSTEMS = Registry(
    "system",
    {
        "vae": SystemTraits(
            path="ouvae.systems.vae:HierarchicalVAE",
            smooths=("generative", "likelihood", "inference"),
            smoothing=("posterior", "ambient", "shrink"),
            architectures=("mlp", "affine", "conv"),
            takes=("gradient_samples", "gradient_rho"),
        ),
        "hermite": SystemTraits(
            path="ouvae.systems.hermite:HermiteVAE",
            smooths=("likelihood",),
            smoothing=("posterior",),
            architectures=("mlp",),
            normalisations=("none",),
            depth=1,
            needs=("hermite_degree",),
        ),
        "vampprior": SystemTraits(
            path="ouvae.systems.vampprior:VampPrior", depth=2, needs=("pseudo_inputs",)
        ),
        "lvae": SystemTraits(path="ouvae.systems.lvae:LadderVAE"),
        "biva": SystemTraits(path="ouvae.systems.biva:BIVA"),
    },
    of_users=SystemTraits,
)
"""The models; see `ouvae.systems`."""

DATASETS = Registry(
    "dataset",
    {
        "digits": DatasetTraits(path="ouvae.data.digits:load", image_shape=(8, 8), binarization="dynamic"),
        "digits_standardized": DatasetTraits(
            path="ouvae.data.digits:load_standardized",
            image_shape=(50,),
            binarization="none",
            likelihoods=("gaussian",),
        ),
        "gaussian": DatasetTraits(
            path="ouvae.data.gaussian:load",
            image_shape=None,
            binarization="none",
            likelihoods=("gaussian",),
            needs=("data_variance",),
        ),
        "mnist": DatasetTraits(
            path="ouvae.data.mnist:load_dynamic", image_shape=(28, 28), binarization="dynamic"
        ),
        "mnist_fixed": DatasetTraits(
            path="ouvae.data.mnist:load_fixed", image_shape=(28, 28), binarization="static"
        ),
        "mnist_static": DatasetTraits(
            path="ouvae.data.mnist:load_static", image_shape=(28, 28), binarization="static"
        ),
        "omniglot": DatasetTraits(
            path="ouvae.data.omniglot:load", image_shape=(28, 28), binarization="dynamic"
        ),
        "cifar10": DatasetTraits(
            path="ouvae.data.cifar10:load",
            image_shape=(3, 32, 32),
            binarization="none",
            likelihoods=("logistic_mixture", "gaussian"),
        ),
    },
    of_users=DatasetTraits,
    attribute="load",
    of_files={".npz": "ouvae.data.arrays:traits"},
)
"""The data sets; see `ouvae.data`."""

LIKELIHOODS = Registry(
    "likelihood",
    {
        "bernoulli": LikelihoodTraits(path="ouvae.parts.likelihoods:Bernoulli"),
        "gaussian": LikelihoodTraits(
            path="ouvae.parts.likelihoods:FixedVarianceGaussian", needs=("observation_variance",)
        ),
        "logistic_mixture": LikelihoodTraits(
            path="ouvae.parts.logistic_mixture:LogisticMixture", needs=("mixture_components",), of_bytes=True
        ),
    },
)
"""The distributions of an observation given z_1; see `ouvae.parts.likelihoods`."""

OBJECTIVES = Registry(
    "objective",
    {
        "elbo": Traits(),
        "iwae": Traits(takes=("importance_samples",)),
        "free_bits": Traits(takes=("free_bits_nats",)),
    },
)
"""The bounds that training maximises; see `ouvae.training.step.objectives`."""

ARCHITECTURES = Registry(
    "architecture",
    {
        "mlp": ArchitectureTraits(takes=("activation", "initialisation", "normalisation")),
        "affine": ArchitectureTraits(layered=False, takes=("initialisation",)),
        "conv": ArchitectureTraits(images=True, takes=("activation",)),
    },
)
"""Families of networks; see `ouvae.parts.networks`."""
