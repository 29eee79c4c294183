"""Seals: a file that was changed in any bit is not taken for what was written."""

import pytest

from analysis.tables.seal import BLANK, is_intact, sealed

BODY = b"confidence: 0.8\n# "


def test_a_flipped_bit_anywhere_is_noticed_or_leaves_the_content_as_it_was():
    content = sealed(BODY + BLANK + b"\n")
    assert content.startswith(BODY)
    assert is_intact(content)
    for bit in range(8 * len(content)):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        assert not is_intact(bytes(changed)) or changed.startswith(BODY)


@pytest.mark.parametrize("cut", [0, 1, 2, 40])
def test_a_seal_that_is_cut_is_noticed(cut):
    content = sealed(BODY + BLANK)
    assert is_intact(content[: len(content) - cut]) == (cut == 0)


def test_content_without_a_seal_is_of_others():
    assert is_intact(BODY)
    with pytest.raises(ValueError, match="not found"):
        sealed(BODY)
