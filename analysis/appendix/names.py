"""The names of the exhibits, which a command's arguments need before anything loads Arrow."""

NAMES = (
    "table5",
    "table6",
    "table7",
    "table8",
    "table9",
    "table10",
    "figure4",
    "figure5",
    "figure6",
    "datasets",
    "controls",
    "choices",
)
"""The tables and figures, the claims of the main text and controls of ours, in the order of the page."""

DEFAULT_BUDGET = "quick"
"""The budget of a missing run, if neither the caller nor the folder's name gives one."""
