"""Batch norm over two processes of gloo is that of one with all the images."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from pansight.training.shared_norm import SharedBatchNorm2d, sharing


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 2, 1), nn.BatchNorm2d(2)
    )


def images() -> torch.Tensor:
    return 5 + 3 * torch.randn(4, 3, 12, 10, generator=torch.Generator().manual_seed(1))


def losses(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """One number an image, so that shares of a batch add up."""
    return model(x).pow(3).mean((1, 2, 3)) + model(x).square().mean((1, 2, 3))


def work(rank: int, shares: list[slice], port: int, folder: Path) -> None:
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=len(shares))
    model: Any = network()
    with sharing(model):
        assert isinstance(model[1], SharedBatchNorm2d)
        losses(model, images()[shares[rank]]).sum().backward()
    assert type(model[1]) is nn.BatchNorm2d
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    for gradient in gradients.values():
        dist.all_reduce(gradient)
    torch.save({"gradients": gradients, "state": model.state_dict()}, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize(
    "shares", [[slice(0, 2), slice(2, 4)], [slice(0, 1), slice(1, 4)]], ids=["2+2", "1+3"]
)
def test_two_processes_normalise_as_one(tmp_path: Path, shares: list[slice]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(2):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                torch.set_num_threads(1)
                work(rank, shares, port, tmp_path)
                code = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            os._exit(code)
        children.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0, 0]
    alone = network()
    losses(alone, images()).sum().backward()
    for rank in range(2):
        found: dict[str, Any] = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, parameter in alone.named_parameters():
            assert parameter.grad is not None
            torch.testing.assert_close(found["gradients"][name], parameter.grad, rtol=2e-4, atol=2e-5)
        for name, tensor in alone.state_dict().items():
            torch.testing.assert_close(found["state"][name], tensor, rtol=1e-5, atol=1e-6)


def test_outside_of_training_nothing_is_shared() -> None:
    """No process group is asked for in evaluation mode."""
    model: Any = network()
    x = images()
    expected = model.eval()(x)
    for module in model:
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm2d
    assert torch.equal(model(x), expected)
