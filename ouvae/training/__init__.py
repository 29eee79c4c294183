"""Training many members as one, and measuring them: packs, noise, objectives, evaluation, costs."""
