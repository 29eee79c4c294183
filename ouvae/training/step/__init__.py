"""One training step of a pack: objectives, gradients, the optimizer, and how they run fast."""
