"""Where packs train: in this process, or on Ray, which `sweeps.cluster` speaks to."""
