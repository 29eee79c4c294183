"""Where the control parameter is sampled: rules that ask for points, without packs, files or Ray."""
