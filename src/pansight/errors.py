"""What can go wrong, by who can act on it.

Four kinds, which callers may tell apart: the user's input (InputError, DataError, CategoryError), the weights
(CheckpointError, DownloadError), the device (DeviceError), and the Python installation (InstallationError).
An input's error concerns that image or file alone, and a run over many goes on to the next; the other kinds
would meet every image alike, so they end a run at once.

Every message is one line that names the thing and says what to do. The command line prints it as it is.
"""

from collections.abc import Sequence


class PansightError(Exception):
    """Base of all errors that Pansight raises on purpose.

    >>> import pansight
    >>> try:
    ...     pansight.load("yoso-tinny")
    ... except PansightError as error:
    ...     print(error)
    no model 'yoso-tinny'; did you mean yoso-tiny or ...
    """


class InputError(PansightError):
    """An image, file or option given by the user cannot be used."""


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
    """A weights file does not fit the model, is damaged, or makes the network's output not finite."""


class CheckpointWarning(UserWarning):
    """A weights file serves, but not only in the way that was taken."""


class EngineWarning(UserWarning):
    """A faster engine was prepared, or could not be had; the message says which one runs instead."""


class DownloadError(PansightError):
    """A published file cannot be fetched, or is not what was published."""


class CategoryError(PansightError):
    """A category name or id that the category set does not have."""


class DeviceError(PansightError):
    """There is no such device, it has not enough memory, or it cannot do what the model needs."""


class InstallationError(PansightError):
    """The Python installation or the machine's software lacks something, such as a package or a compiler."""


class MissingExtraError(InstallationError):
    """An optional dependency is not installed."""
