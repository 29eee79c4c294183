"""The paper's appendix: its numbers, ours beside them, and the claims that come with them."""
