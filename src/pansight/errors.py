"""What can go wrong, by whose hand it can be mended.

Every message is one line that names the thing and says what to do. The command line prints it as it is.
"""

from collections.abc import Sequence


class PansightError(Exception):
    """Base of all errors that Pansight raises on purpose."""


class InputError(PansightError):
    """A picture or file given by the user cannot be used."""


class DataError(PansightError):
    """A data set's annotation or layout is broken."""


class DataProblemsError(DataError):
    """Everything that is wrong with a data set, found in one go.

    `problems` holds one line each, "file: what is wrong". The message is `summary`, one line, and then them:
    the only message of more than one line.
    """

    def __init__(self, summary: str, problems: Sequence[str]) -> None:
        super().__init__(summary, list(problems))

    @property
    def summary(self) -> str:
        """What could not be done because of the problems."""
        return str(self.args[0])

    @property
    def problems(self) -> list[str]:
        """The problems, in the order of the files."""
        return list(self.args[1])

    def __str__(self) -> str:
        return "\n".join([self.summary, *(f"  {problem}" for problem in self.problems)])


class CheckpointError(PansightError):
    """A weights file does not fit the model, or is damaged."""


class CheckpointWarning(UserWarning):
    """A weights file serves, but not only in the way that was taken."""


class DownloadError(PansightError):
    """A published file cannot be fetched, or is not what was published."""


class CategoryError(PansightError):
    """A category name or id that the category set does not have."""


class MissingExtraError(PansightError):
    """An optional dependency is not installed."""
