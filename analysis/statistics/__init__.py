"""Statistics: from curves to thresholds and their comparisons."""
