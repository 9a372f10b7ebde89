"""The thresholds of a merge, found on validation data: what `pansight tune` does."""
