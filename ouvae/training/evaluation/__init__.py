"""Measuring the members of a pack: metrics, the top layer's information, gradient variance, L_k."""
