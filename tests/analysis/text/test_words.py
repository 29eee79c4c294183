"""What is said of thresholds and comparisons in sentences."""

import pytest

from analysis.text.words import comparison_sentence, duration, heading, threshold_sentence
from tests.analysis.conftest import member_row

RHO = {"control": "rho", "scale": "linear", "confidence": 0.95}
CELL = RHO | dict.fromkeys(("critical_value", "critical_low", "critical_high", "half_width"))
DIFFERENCE = ("difference", "difference_low", "difference_high")
PAIR = RHO | {"margin": None} | dict(zip(DIFFERENCE, (-0.2, -0.3, -0.1), strict=True))


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (
            {"status": "transition", "critical_value": 0.91, "critical_low": 0.86, "critical_high": 0.96},
            "ρ_c of {a} is 0.910 [0.860, 0.960] (95 %)",
        ),
        (
            {"status": "transition", "critical_value": 0.91, "critical_low": 0.86},
            "ρ_c of {a} is 0.910, above 0.860 (95 %)",
        ),
        ({"status": "transition", "critical_value": 0.91}, "ρ_c of {a} is 0.910"),
        (
            {"status": "always_collapsed", "critical_high": 0.4},
            "ρ_c of {a} lies beyond all that was trained, below 0.400 (95 %): always collapsed",
        ),
        ({"status": "always_active"}, "ρ_c of {a} lies beyond all that was trained: always active"),
        ({"status": "unresolved"}, "nothing is known of {a}: it has no member that counts"),
    ],
)
def test_a_threshold_in_words(known, said):
    assert threshold_sentence(CELL | known, "{a}") == said


def test_the_numbers_of_a_comparison_count_in_its_direction():
    lower = comparison_sentence(PAIR | {"verdict": "lower"}, "{a}", "{b}")
    assert lower == "ρ_c of {a} is lower than that of {b} by 0.200 [0.100, 0.300] (95 %)"
    other = {"verdict": "higher"} | dict(zip(DIFFERENCE, (0.2, 0.1, 0.3), strict=True))
    assert comparison_sentence(PAIR | other, "{a}", "{b}") == lower.replace("lower", "higher")


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (
            {"verdict": "lower", "difference": None, "difference_low": None},
            "ρ_c of a is lower than that of b by more than 0.100 (95 %)",
        ),
        (
            {"verdict": "undecided"},
            "whether ρ_c of a is lower or higher than that of b is undecided: the difference is -0.200 "
            "[-0.300, -0.100] (95 %)",
        ),
        (
            {"verdict": "alike", "margin": 0.25},
            "ρ_c of a and that of b are alike within ±0.25: the difference is -0.200 [-0.300, -0.100] (95 %)",
        ),
        (
            dict.fromkeys(DIFFERENCE) | {"verdict": "undecided"},
            "whether ρ_c of a is lower or higher than that of b is undecided",
        ),
    ],
)
def test_a_comparison_in_words(known, said):
    assert comparison_sentence(PAIR | known, "a", "b") == said


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(41.6, "42 s"), (185, "3 min 05 s"), (7800, "2 h 10 min"), (3 * 86400 + 4 * 3600, "3 d 4 h")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_a_heading_names_the_smoothing_of_what_is_smoothed():
    smoothed = member_row((8, 8), 0, 0.5, 1.0)
    assert heading([smoothed]).endswith("posterior smoothing \u00b7 K = 5")
    assert "smoothing" not in heading([smoothed | {"smoothed_networks": []}])
