"""Building a network without the time that random first weights take."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode


class _NoDraws(TorchFunctionMode):
    """Makes zeros of the random draws of initialisers.

    Not just any memory: `trunc_normal_` draws again until every value is within its range.
    """

    DRAWS = (Tensor.normal_, Tensor.uniform_)
    INITIALISERS = (init.normal_, init.uniform_, init.kaiming_uniform_)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in self.DRAWS:
            return args[0].zero_()
        if func in self.INITIALISERS:  # these ask before they draw, and by keyword
            tensor = kwargs["tensor"] if kwargs and "tensor" in kwargs else args[0]
            return tensor.detach().zero_()
        return func(*args, **(kwargs or {}))


@contextmanager
def without_initialisation() -> Iterator[None]:
    """Models built inside have zeros for random parameters, take little time, and leave the generator alone.

    For models whose every parameter is loaded afterwards, or of which only the shapes matter. (The meta
    device would do too, but its first use imports the compiler, which takes seconds.)
    """
    with _NoDraws():
        yield
