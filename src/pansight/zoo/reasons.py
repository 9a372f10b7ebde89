"""Other people's exceptions, cut down to what fits into one line of ours."""

from pydantic import ValidationError


def first_line(error: BaseException) -> str:
    """The first line that says something; the system's words for its own errors."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0].rstrip(".:") if lines else type(error).__name__


def first_problem(error: ValidationError) -> str:
    """The first value that a configuration refuses, and why."""
    problem = error.errors()[0]
    place = ".".join(map(str, problem["loc"])) or "value"
    value = repr(problem.get("input"))
    return f"{place} = {value if len(value) <= 60 else value[:57] + '...'} is not allowed ({problem['msg']})"
