"""What is trained: cells with their identities, packs of members, data sets, and users' code."""
