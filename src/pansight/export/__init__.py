"""Models as files that other runtimes run: one file a target, and the table of what is supported."""
