"""A toy method, whole in one folder: one segment for each category, by two layers."""
