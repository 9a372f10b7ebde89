"""Models as files that other runtimes run: one file per target, and the table of what is supported."""
