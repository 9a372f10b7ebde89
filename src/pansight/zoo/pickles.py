"""Plain pickles, as detectron2 writes them, read by torch's weights-only loader and nothing else.

That loader runs no code, but it takes pickles only inside torch's own container and only in protocol 2.
Here a pickle of any later protocol is rewritten, opcode by opcode, into protocol 2, and put into such a
container. Nothing is executed on the way; what the pickle may name is still for the loader to decide.
"""

import io
import pickletools
import zipfile
from struct import pack
from typing import Any

from pansight.errors import CheckpointError

_STRINGS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINSTRING", "BINSTRING"}
"""those of Python 2 as well, read as Latin-1: numpy takes an array's bytes as such text, too"""
_BYTES = {"SHORT_BINBYTES", "BINBYTES", "BINBYTES8"}
_PUTS = {"MEMOIZE", "BINPUT", "LONG_BINPUT"}
_GETS = {"BINGET", "LONG_BINGET"}


def torch_container(pickle: bytes, path: str) -> io.BytesIO:
    """`pickle` as a file that `torch.load(..., weights_only=True)` accepts, if it accepts what is in it.

    Raises CheckpointError, naming `path`, when the pickle is malformed.
    """
    try:
        content = to_protocol_2(pickle)
    except (ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is not a weights file, or a damaged one; fetch it again") from error
    container = io.BytesIO()
    with zipfile.ZipFile(container, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    container.seek(0)
    return container


def to_protocol_2(pickle: bytes) -> bytes:
    """The same pickle in the opcodes of protocol 2.

    Raises ValueError or KeyError when it is malformed.
    """
    opcodes = list(pickletools.genops(pickle))
    ends = [position for _, _, position in opcodes[1:]] + [len(pickle)]
    chunks: list[bytes] = []
    memo: dict[int, str | None] = {}  # None for anything but a string
    strings: list[str] = []  # those pushed last, one right after the other
    last: str | None = None
    argument: Any
    for (opcode, argument, position), end in zip(opcodes, ends, strict=True):
        name = opcode.name
        if name in _PUTS:
            index = len(memo) if argument is None else argument
            memo[index] = last
            # A string is written out again wherever it is fetched: then the two strings before
            # STACK_GLOBAL, which protocol 2 lacks, are always the last two chunks.
            if last is None:
                chunks.append(b"r" + pack("<I", index))
            continue
        last = memo[argument] if name in _GETS else argument if name in _STRINGS else None
        if last is not None:
            strings.append(last)
            chunks.append(_string(last))
            continue
        if name == "STACK_GLOBAL":
            if len(strings) < 2:
                raise ValueError("a name that is not a string")
            del chunks[-2:]
            chunks.append(_global(*strings[-2:]))
        elif name in _GETS:
            chunks.append(b"j" + pack("<I", argument))
        elif name in _BYTES:
            chunks.append(_bytes(argument))
        elif name == "BYTEARRAY8":
            chunks.append(_global("builtins", "bytearray") + _bytes(bytes(argument)) + b"\x85R")
        elif name == "PROTO":
            chunks.append(b"\x80\x02")
        elif name != "FRAME":
            chunks.append(pickle[position:end])
        strings.clear()
    return b"".join(chunks)


def _string(text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogatepass")
    return b"X" + pack("<I", len(encoded)) + encoded


def _bytes(raw: bytes) -> bytes:
    # as protocol 2 itself spells bytes: a call of encode on a string
    return _global("_codecs", "encode") + _string(raw.decode("latin-1")) + _string("latin1") + b"\x86R"


def _global(module: str, name: str) -> bytes:
    if "\n" in module + name:
        raise ValueError("a name of several lines")
    return f"c{module}\n{name}\n".encode()
