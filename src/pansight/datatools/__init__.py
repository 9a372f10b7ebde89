"""Work on data sets as files: check, prepare, convert, statistics, sheets."""
