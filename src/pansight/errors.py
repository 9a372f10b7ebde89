"""What can go wrong, by who can fix it.

Four kinds, which callers can tell apart: the user's input (InputError, DataError, CategoryError), the weights
(CheckpointError, DownloadError), the device (DeviceError), and the Python installation (InstallationError).
An input's error concerns that image or file alone, and a run over many continues with the next; the other
kinds would affect every image alike, so they end a run at once.

Every message is one line that names the thing and says what to do. The command line prints it as it is.
"""

from collections.abc import Sequence


class PansightError(Exception):
    """Base class of all errors that Pansight raises deliberately.

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

    `problems` holds one line each, "file: what is wrong". The message is `summary`, one line, then the
    problems: the only message with more than one line.
    """

    def __init__(self, summary: str, problems: Sequence[str]) -> None:
        super().__init__(summary, list(problems))

    @property
    def summary(self) -> str:
        """What the problems prevented."""
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
    """A weights file can be used, but is ambiguous; the message says how it was read."""


class EngineWarning(UserWarning):
    """A faster engine was prepared, or is not available; the message says which one runs instead."""


class DownloadError(PansightError):
    """A published file cannot be downloaded, or differs from what was published."""


class CategoryError(PansightError):
    """A category name or id that the category set does not have."""


class DeviceError(PansightError):
    """The device does not exist, lacks memory, or cannot do what the model needs."""


class InstallationError(PansightError):
    """The Python installation or the machine's software lacks something, such as a package or a compiler."""


class MissingExtraError(InstallationError):
    """An optional dependency is not installed."""
