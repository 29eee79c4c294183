"""Table 5: the test ELBO of convolutional models. It comes with no claim."""

from functools import partial

from analysis.appendix.exhibit import Exhibit
from analysis.appendix.matching import OneOf
from analysis.appendix.models import OU_VAE, VAE
from analysis.appendix.published import Column, PublishedRow, PublishedTable
from analysis.appendix.table_drawing import Panel, plot_table

STATIC_MNIST = OneOf(("mnist_static", "mnist_fixed"))
"""The condition on the data set of static MNIST: the public binarization, or one of the project's own."""

TABLE = PublishedTable(
    columns=(
        Column("mnist", "MNIST (nats)", "bound", {"dataset": STATIC_MNIST}),
        Column("omniglot", "OMNIGLOT (nats)", "bound", {"dataset": "omniglot"}),
    ),
    rows=(
        PublishedRow("VAE (L=2)", {"mnist": -82.41, "omniglot": -97.65}, VAE | {"depth": 2}),
        PublishedRow(
            "VampPrior (L=2)", {"mnist": -81.09, "omniglot": -97.56}, {"system": "vampprior", "depth": 2}
        ),
        PublishedRow("OU-VAE (L=4)", {"mnist": -81.58, "omniglot": -96.08}, OU_VAE | {"depth": 4}),
    ),
    budget="not stated",
    note="The appendix gives L_5000 for its OU-VAE. Ours is the importance-weighted bound L_k on the test "
    "split, with k and the number of images in the settings below.",
)

PANELS = (Panel("mnist", "bound, static MNIST (nats)"), Panel("omniglot", "bound, OMNIGLOT (nats)"))

EXHIBIT = Exhibit(
    name="table5",
    title="Test ELBO of convolutional models on static MNIST and OMNIGLOT",
    table=TABLE,
    plot=partial(plot_table, TABLE, PANELS),
)
