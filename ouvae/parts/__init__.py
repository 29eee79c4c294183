"""What systems are built of: networks, densities, and the smoothing operator with its series."""
