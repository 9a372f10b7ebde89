"""What a network computes, counted while it runs, by the convention of the papers' tables.

The convention is fvcore's, batch 1: convolutions, linear layers and matrix products cost one a multiply-add;
bilinear upsampling costs 4 per output element; LayerNorm 5 per element, or 4 without affine factors;
everything else is free (additions, activations, softmax, sigmoid, batch norm, concatenation). Reading at
points (`grid_sample`, `embedding_bag`) is free too: of a deformable convolution the matrix product counts, as
of any other convolution.

Two things that the authors of YOSO count lie outside fvcore's convention:

* Dynamic depthwise convolutions (Table 6). They added the multiply-adds of an equal static convolution by
  hand. Ours are written as products of shifted rows with one factor a row; such products count, one an
  element, inside the modules in DYNAMIC_DEPTHWISE and nowhere else.
* The sum of four maps in the aggregator (Table 5). They wrote it as a convolution of four channels to one,
  with ones; ours are plain additions. `count_sums` counts additions of feature maps, one a term and element.

Nothing is computed when module and inputs are on the "meta" device, and the count is the same.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from pansight.models.yoso.attention import DepthwiseDynamicConv, SeparableDynamicConv

DYNAMIC_DEPTHWISE: tuple[type[nn.Module], ...] = (SeparableDynamicConv, DepthwiseDynamicConv)
"""Modules in which a product of rows [b, n, d] with factors [b, n, 1] is one tap of a convolution."""

MULTIPLY_ADDS = ("convolution", "matrix product", "dynamic depthwise")
"""kinds of operations whose count is one of multiply-adds, whatever the convention"""

aten = torch.ops.aten


@dataclass(frozen=True)
class FlopCount:
    """Operations by place (path of the innermost module, "" outside all) and kind."""

    by_place: Mapping[tuple[str, str], int]

    @property
    def total(self) -> int:
        """Everything that the convention counts."""
        return sum(self.by_place.values())

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds alone: no interpolation, no norms, no sums."""
        return sum(count for (_, kind), count in self.by_place.items() if kind in MULTIPLY_ADDS)

    @property
    def by_kind(self) -> dict[str, int]:
        """Total of each kind."""
        kinds: Counter[str] = Counter()
        for (_, kind), count in self.by_place.items():
            kinds[kind] += count
        return dict(kinds)

    def within(self, path: str) -> "FlopCount":
        """The share of one module and all inside it."""
        return FlopCount(
            {
                (place, kind): count
                for (place, kind), count in self.by_place.items()
                if place == path or place.startswith(f"{path}.")
            }
        )

    def only(self, path: str) -> "FlopCount":
        """The share of one module, without what modules inside it do."""
        return FlopCount({key: count for key, count in self.by_place.items() if key[0] == path})

    def table(self, depth: int = 2) -> str:
        """Lines of module, multiply-adds and total in billions, to `depth` parts of a path."""
        places: dict[str, None] = {"": None}
        for place, _ in self.by_place:
            parts = place.split(".")
            places |= dict.fromkeys(".".join(parts[: n + 1]) for n in range(min(depth, len(parts))))
        width = max(len("module"), *(len(place) for place in places))
        lines = [f"{'module':<{width}}  {'multiply-adds':>13}  {'total':>9}"]
        for place in places:
            share = self if place == "" else self.within(place)
            name = place or "all"
            lines.append(f"{name:<{width}}  {share.multiply_adds / 1e9:11.3f} G  {share.total / 1e9:7.3f} G")
        return "\n".join(lines)


def count_flops(function: Callable[..., Any], *args: Any, count_sums: bool = False) -> int:
    """Operations of one call `function(*args)`: a module, a module's method, or any callable."""
    return measure_flops(function, *args, count_sums=count_sums).total


def measure_flops(
    function: Callable[..., Any],
    *args: Any,
    root: nn.Module | None = None,
    count_sums: bool = False,
) -> FlopCount:
    """As `count_flops`, by module and kind.

    Args:
        function: what to call, once, without gradients.
        args: of the call; tensors on the "meta" device make it free.
        root: its modules name the places; default: `function`, or the module that it is a method of.
        count_sums: count additions of feature maps [b, c, h, w] of one shape, one a term and element: a + b
            costs 2, and + c 1 more.
    """
    if root is None:
        owner = function if isinstance(function, nn.Module) else getattr(function, "__self__", None)
        root = owner if isinstance(owner, nn.Module) else None
    places = _Places()
    counter = _Counter(places, count_sums)
    # fused attention would hide its products from the counter
    with torch.no_grad(), places.follow(root), _plain_attention(), counter:
        function(*args)
    return FlopCount(dict(counter.counts))


class _Places:
    """Which modules are being run."""

    def __init__(self) -> None:
        self.stack: list[tuple[str, nn.Module]] = []

    @contextmanager
    def follow(self, root: nn.Module | None) -> Iterator[None]:
        handles = []
        for name, module in root.named_modules() if root is not None else ():
            handles.append(module.register_forward_pre_hook(self._enter(name)))
            handles.append(module.register_forward_hook(self._leave, always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, name: str) -> Callable[[nn.Module, Any], None]:
        def enter(module: nn.Module, _: Any) -> None:
            self.stack.append((name, module))

        return enter

    def _leave(self, *_: Any) -> None:
        self.stack.pop()

    def name(self) -> str:
        return self.stack[-1][0] if self.stack else ""

    def inside(self, kinds: tuple[type[nn.Module], ...]) -> bool:
        return any(isinstance(module, kinds) for _, module in self.stack)


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Attention as its matrix products, not as one fused operation."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _convolution(args: tuple[Any, ...], result: Tensor) -> int:
    x, weight, transposed = args[0], args[1], args[6]
    # a transposed convolution spreads each input element, a plain one gathers each output element
    return int((x if transposed else result).numel() * weight[0].numel())


def _product(left: int) -> Callable[[tuple[Any, ...], Tensor], int]:
    """[.. m k] @ [.. k n], with the left factor at place `left` of the arguments."""
    return lambda args, result: int(args[left].numel() * args[left + 1].shape[-1])


def _layer_norm(args: tuple[Any, ...], result: Any) -> int:
    return int(args[0].numel()) * (4 if args[2] is None else 5)


def _interpolation(args: tuple[Any, ...], result: Tensor) -> int:
    return 4 * result.numel()


COSTS: dict[Any, tuple[str, Callable[[tuple[Any, ...], Any], int]]] = {
    aten.convolution: ("convolution", _convolution),
    aten.mm: ("matrix product", _product(0)),
    aten.bmm: ("matrix product", _product(0)),
    aten.addmm: ("matrix product", _product(1)),
    aten.baddbmm: ("matrix product", _product(1)),
    aten.native_layer_norm: ("layer norm", _layer_norm),
    aten.upsample_bilinear2d: ("interpolation", _interpolation),
}


class _Counter(TorchDispatchMode):
    """Sees every operation on its way to the device."""

    def __init__(self, places: _Places, count_sums: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[tuple[str, str]] = Counter()
        self.places = places
        self.count_sums = count_sums
        self.sums = WeakIdKeyDictionary()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        packet = func.overloadpacket
        if packet not in COSTS:
            # in inference mode composite operations (linear, matmul) arrive whole; take them apart
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        result = func(*args, **kwargs)
        if packet in COSTS:
            kind, cost = COSTS[packet]
            self._add(kind, cost(args, result))
        elif packet in (aten.add, aten.add_):
            self._sum(args, result)
        elif packet in (aten.mul, aten.mul_) and self._is_depthwise_tap(args):
            self._add("dynamic depthwise", result.numel())
        return result

    def _add(self, kind: str, count: int) -> None:
        self.counts[self.places.name(), kind] += count

    def _sum(self, args: tuple[Any, ...], result: Tensor) -> None:
        a, b = args[:2]
        if not self.count_sums or not isinstance(b, Tensor) or a.dim() != 4 or a.shape != b.shape:
            return
        # a partial sum's terms were counted when it was made
        terms = sum(term not in self.sums for term in (a, b))
        self.sums[result] = True
        self._add("sum", terms * result.numel())

    def _is_depthwise_tap(self, args: tuple[Any, ...]) -> bool:
        if not self.places.inside(DYNAMIC_DEPTHWISE):
            return False
        a, b = args[:2]
        if not isinstance(a, Tensor) or not isinstance(b, Tensor) or a.dim() != 3 or b.dim() != 3:
            return False
        return a.shape[:2] == b.shape[:2] and (a.shape[2] == 1) != (b.shape[2] == 1)
