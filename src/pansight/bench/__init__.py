"""Measuring: what a network costs, by the papers' own conventions."""
