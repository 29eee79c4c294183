"""Training many members as one: packs, their noise, steps, evaluations and costs."""
