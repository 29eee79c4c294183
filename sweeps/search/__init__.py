"""Where the control parameter is sampled: rules that ask for points and know nothing of packs, files or Ray."""
