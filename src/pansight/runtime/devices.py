"""Where the network runs."""

import torch

from pansight.errors import DeviceError
from pansight.merging import Form


def choose_device(name: str | torch.device | None = None) -> torch.device:
    """The device of that name; `auto` or None: the first GPU (cuda), else Apple's (mps), else the CPU.

    Raises DeviceError when there is no such device here.
    """
    if name is None or name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"{name!r} is not a device; use auto, cpu, cuda, cuda:1 or mps") from error
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, True):
        raise DeviceError(f"no device {device} on this machine; use --device auto or cpu (device='cpu')")
    return device


def form_for(device: torch.device) -> Form:
    """The form of the merge that suits a device: reading a count is free on a CPU, and stalls all else."""
    return "pruned" if device.type == "cpu" else "fixed"
