"""Intermediate results of our YOSO under the names and in the shapes of the reference's."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pansight.models.yoso import YOSO, YOSOOutputs
from pansight.models.yoso.head import Stage, apply_kernels

Taps = dict[str, Tensor]


@contextmanager
def watched(model: YOSO) -> Iterator[Taps]:
    """Collect outputs of modules while the model runs; of a module called twice, the last."""
    taps: Taps = {}
    handles = [
        module.register_forward_hook(_hook(name, taps), with_kwargs=True)
        for name, module in model.named_modules()
        if name
    ]
    try:
        yield taps
    finally:
        for handle in handles:
            handle.remove()


def _hook(name: str, taps: Taps) -> Any:
    parent, _, own = name.rpartition(".")

    def store(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if isinstance(module, Stage):
            # kernels have no tap of their own; `finish` makes masks of them
            taps[f"{name}:kernels"] = output.kernels
            taps[f"{name}:2"] = output.queries[..., None, None]
        elif isinstance(module, nn.MultiheadAttention):
            # ours asks for no weights; the reference does, sequence first; forward itself calls no hooks
            query, key, value = args
            again, weights = module.forward(query, key, value, need_weights=True)
            assert weights is not None
            torch.testing.assert_close(again, output[0], rtol=1e-4, atol=1e-5)
            taps[f"{name}:0"], taps[f"{name}:1"] = output[0].transpose(0, 1), weights
        elif isinstance(output, Tensor):
            # the reference carries the area of its 2-D kernels, 1, through the feed-forward layers
            taps[name] = output.unsqueeze(2) if own in ("ffn", "ffn_norm") else output
            if own == "fc_cls":
                taps[f"{parent}:0"] = output
            elif own == "f_atten":
                taps[f"{name}:k_in"], taps[f"{name}:f_pooled"] = args

    return store


def finish(taps: Taps, outputs: YOSOOutputs) -> Taps:
    """Add what no module gives by itself: masks of each stage, and the head's answers."""
    for name in [name for name in taps if name.endswith(":kernels")]:
        taps[name.replace(":kernels", ":1")] = apply_kernels(taps[name], outputs.features)
    taps["yoso_head:1"], taps["yoso_head:2"] = outputs.class_logits, outputs.mask_logits
    return taps
