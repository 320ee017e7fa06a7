"""Makes the binary files of this folder: `python tests/hostile/make.py`. Each is a trick, named after it.

The same bytes each time: nothing here depends on the clock, or on the version of torch.
"""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy

HERE = Path(__file__).parent
EPOCH = (1980, 1, 1, 0, 0, 0)
SIZES = {"weight": (4, 3), "visible_bias": (4,), "hidden_bias": (3,)}
"""The parameters of the run that the tests train."""


class Bomb:
    """Runs a line of Python when it is unpickled."""

    def __reduce__(self) -> Any:
        return exec, ("open('pwned', 'w').close()",)


BOMB = pickle.dumps(Bomb(), protocol=2)


def packed(*parts: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, part in parts:
            archive.writestr(zipfile.ZipInfo(name, EPOCH), part, method, 9)
    return content.getvalue()


def npy(array: Any) -> bytes:
    """An array, object arrays pickled."""
    content = io.BytesIO()
    numpy.save(content, array, allow_pickle=True)
    return content.getvalue()


def headed(header: str, data: bytes = b"") -> bytes:
    """An .npy file with any header."""
    text = header.encode().ljust(64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def npz(**arrays: Any) -> bytes:
    """An .npz file; what is bytes is taken as it is."""
    return packed(*((f"{name}.npy", one if isinstance(one, bytes) else npy(one)) for name, one in arrays.items()))


def parameters(**others: Any) -> dict[str, Any]:
    """Parameters that fit, but for the others."""
    return {name: numpy.zeros(shape, numpy.float32) for name, shape in SIZES.items()} | others


def safetensors(header: Any, data: bytes = bytes(76), length: int | None = None) -> bytes:
    """A .safetensors file; the length of its header may be a lie."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def described(**others: Any) -> dict[str, Any]:
    """A header that fits `parameters`, but for the others."""
    header, start = {}, 0
    for name, shape in SIZES.items():
        end = start + 4 * int(numpy.prod(shape))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}
        start = end
    return header | others


def torch_zip(data: bytes, method: int = zipfile.ZIP_STORED, *more: tuple[str, bytes]) -> bytes:
    """What torch.save would write around a pickle."""
    return packed(
        ("a/data.pkl", data),
        ("a/byteorder", b"little"),
        *more,
        ("a/version", b"3\n"),
        ("a/data/0", bytes(16)),
        method=method,
    )


def tensor(size: bytes) -> bytes:
    """The pickle of a tensor over the storage a/data/0, of 4 numbers, with this (pickled) size and stride."""
    storage = b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ"
    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n"
        + storage
        + b"K\x00"
        + size
        + b"\x89ccollections\nOrderedDict\n)RtR."
    )


def legacy(data: bytes) -> bytes:
    """What torch.save wrote before it wrote archives."""
    head = (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}})
    return b"".join(pickle.dumps(each, protocol=2) for each in head) + data + pickle.dumps([], protocol=2)


def tar(data: bytes) -> bytes:
    """What torch.save wrote at the very first."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("storages", "tensors", "pickle"):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def zeros(megabytes: int) -> bytes:
    """An .npy file of zeros."""
    return headed(
        f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({megabytes * 2**18},), }}", bytes(megabytes * 2**20)
    )


def damaged(content: bytes, old: bytes, new: bytes) -> bytes:
    """With other bytes at one place."""
    assert old in content
    return content.replace(old, new, 1)


HUGE = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 2), }"
NEGATIVE = "{'descr': '<f4', 'fortran_order': False, 'shape': (-4, 3), }"
NESTED = "(" * 9000
CODE = "{'descr': __import__('os').system('touch pwned'), 'fortran_order': False, 'shape': (1,), }"
SUBARRAY = "{'descr': ('<f4', (1000000, 1000000)), 'fortran_order': False, 'shape': (3,), }"
OBJECT = numpy.array([Bomb()], dtype=object)
FILES: dict[str, Callable[[], bytes]] = {
    "weights/pickle.npz": lambda: BOMB,
    "weights/pickle-inside.npz": lambda: npz(**parameters(weight=OBJECT)),
    "weights/pickle-as-part.npz": lambda: packed(("weight", BOMB), ("visible_bias", BOMB), ("hidden_bias", BOMB)),
    "weights/bomb.npz": lambda: packed(("weight.npy", zeros(100)), method=zipfile.ZIP_DEFLATED),
    "weights/bomb-of-many.npz": lambda: packed(
        *((f"{n}.npy", zeros(5)) for n in range(20)), method=zipfile.ZIP_DEFLATED
    ),
    "weights/bomb-bzip2.npz": lambda: packed(("weight.npy", zeros(100)), method=zipfile.ZIP_BZIP2),
    "weights/header-huge.npz": lambda: npz(**parameters(weight=headed(HUGE))),
    "weights/header-negative.npz": lambda: npz(**parameters(weight=headed(NEGATIVE, bytes(48)))),
    "weights/header-nested.npz": lambda: npz(**parameters(weight=headed(NESTED))),
    "weights/header-code.npz": lambda: npz(**parameters(weight=headed(CODE))),
    "weights/path.npz": lambda: packed(("../../pwned.npy", npy(numpy.zeros(3)))),
    "weights/name-escape.npz": lambda: packed(("\x1b[31mred\nerror: forged.npy", npy(numpy.zeros(3)))),
    "weights/ambiguous.npz": lambda: npz(**parameters(vishid=numpy.ones((4, 3), numpy.float32))),
    "weights/complex.npz": lambda: npz(**parameters(weight=numpy.zeros((4, 3), numpy.complex64))),
    "weights/bool.npz": lambda: npz(**parameters(weight=numpy.zeros((4, 3), bool))),
    "weights/integers.npz": lambda: npz(**parameters(weight=numpy.zeros((4, 3), numpy.int64))),
    "weights/words.npz": lambda: npz(**parameters(weight=numpy.full((4, 3), "x"))),
    "weights/structured.npz": lambda: npz(**parameters(weight=numpy.zeros((4, 3), [("a", "<f4")]))),
    "weights/nan.npz": lambda: npz(**parameters(weight=numpy.full((4, 3), numpy.nan))),
    "weights/beyond-float32.npz": lambda: npz(**parameters(weight=numpy.full((4, 3), 1e300))),
    "weights/other-model.npz": lambda: npz(encoder=numpy.zeros((4, 3)), decoder=numpy.zeros((3, 4))),
    "weights/other-shape.npz": lambda: npz(**parameters(weight=numpy.zeros((3, 4), numpy.float32))),
    "weights/broadcast.npz": lambda: npz(**parameters(weight=numpy.zeros((1, 1), numpy.float32))),
    "weights/truncated.npz": lambda: npz(**parameters())[:200],
    "weights/flipped.npz": lambda: damaged(npz(**parameters()), bytes(48), bytes(47) + b"\x01"),
    "weights/encrypted.npz": lambda: damaged(
        npz(**parameters()), b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"
    ),
    "weights/empty.npz": lambda: b"",
    "weights/pickle.safetensors": lambda: BOMB,
    "weights/torch.safetensors": lambda: torch_zip(BOMB),
    "weights/header-endless.safetensors": lambda: safetensors(described(), length=2**60),
    "weights/header-negative.safetensors": lambda: safetensors(described(), length=2**64 - 1),
    "weights/header-cut.safetensors": lambda: safetensors(described(), length=20),
    "weights/header-nested.safetensors": lambda: safetensors(b'{"a":' + b"[" * 20000),
    "weights/header-list.safetensors": lambda: safetensors([]),
    "weights/header-utf8.safetensors": lambda: safetensors(b'{"\xff": 1}'),
    "weights/shape-huge.safetensors": lambda: safetensors(
        described(weight={"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 48]})
    ),
    "weights/shape-negative.safetensors": lambda: safetensors(
        described(weight={"dtype": "F32", "shape": [-4, -3], "data_offsets": [0, 48]})
    ),
    "weights/offsets-outside.safetensors": lambda: safetensors(
        described(weight={"dtype": "F32", "shape": [4, 3], "data_offsets": [10**9, 10**9 + 48]})
    ),
    "weights/offsets-overlap.safetensors": lambda: safetensors(
        described(visible_bias={"dtype": "F32", "shape": [4], "data_offsets": [0, 16]})
    ),
    "weights/dtype-unknown.safetensors": lambda: safetensors(
        described(weight={"dtype": "\x1b[31mF32", "shape": [4, 3], "data_offsets": [0, 48]})
    ),
    "weights/integers.safetensors": lambda: safetensors(
        described(weight={"dtype": "I32", "shape": [4, 3], "data_offsets": [0, 48]})
    ),
    "weights/nan.safetensors": lambda: safetensors(described(), b"\xff" * 76),
    "weights/name-escape.safetensors": lambda: safetensors(
        {"\x1b[31mred\nerror: forged": {"dtype": "F32", "shape": [19], "data_offsets": [0, 76]}}
    ),
    "weights/truncated.safetensors": lambda: safetensors(described(), bytes(30)),
    "weights/more.safetensors": lambda: safetensors(described(), bytes(76) + BOMB),
    "weights/empty.safetensors": lambda: b"",
    "checkpoints/pickle.ckpt": lambda: BOMB,
    "checkpoints/pickle-protocol-0.ckpt": lambda: b"cos\nsystem\n(S'touch pwned'\ntR.",
    "checkpoints/pickle-instance.ckpt": lambda: b"(S'touch pwned'\nios\nsystem\n.",
    "checkpoints/pickle-stack-global.ckpt": lambda: pickle.dumps(Bomb(), protocol=4),
    "checkpoints/pickle-extension.ckpt": lambda: b"\x80\x02\x82\x01.",
    "checkpoints/torch-zip.ckpt": lambda: torch_zip(BOMB),
    "checkpoints/torch-zip-getattr.ckpt": lambda: torch_zip(
        b"\x80\x02c__builtin__\ngetattr\n(c__builtin__\n__import__\nX\x05\x00\x00\x00evilstR."
    ),
    "checkpoints/torch-zip-torch-load.ckpt": lambda: torch_zip(b"\x80\x02ctorch\nload\nX\x05\x00\x00\x00pwned\x85R."),
    "checkpoints/torch-zip-hub.ckpt": lambda: torch_zip(b"\x80\x02ctorch.hub\nload\nX\x05\x00\x00\x00a/b:c\x85R."),
    "checkpoints/torch-zip-dotted.ckpt": lambda: torch_zip(b"\x80\x04\x8c\x12collections\x94.\x8c\x01a\x93."),
    "checkpoints/torch-zip-numpy-object.ckpt": lambda: torch_zip(pickle.dumps({"state_dict": OBJECT}, protocol=2)),
    "checkpoints/torch-zip-code.ckpt": lambda: torch_zip(
        b"\x80\x02}.", zipfile.ZIP_STORED, ("a/code/pwned.py", b"open('pwned', 'w')")
    ),
    "checkpoints/torch-zip-path.ckpt": lambda: torch_zip(b"\x80\x02}.", zipfile.ZIP_STORED, ("../../pwned", b"pwned")),
    "checkpoints/torch-zip-bomb.ckpt": lambda: torch_zip(
        b"\x80\x02B" + struct.pack("<I", 100 * 2**20) + bytes(100 * 2**20) + b".", zipfile.ZIP_DEFLATED
    ),
    "checkpoints/torch-zip-build.ckpt": lambda: torch_zip(
        b"\x80\x02ccollections\nOrderedDict\n)R}X\x09\x00\x00\x00__class__K\x01sb."
    ),
    "checkpoints/torch-zip-laughs.ckpt": lambda: torch_zip(b"\x80\x02(K\x01l" + b"q\x00(" + b"h\x00" * 10 + b"l."),
    "checkpoints/torch-zip-memo.ckpt": lambda: torch_zip(b"\x80\x02K\x01j\xff\xff\xff\xff."),
    "checkpoints/torch-zip-empty-stack.ckpt": lambda: torch_zip(b"\x80\x02."),
    "checkpoints/torch-zip-bytes-endless.ckpt": lambda: torch_zip(b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"."),
    "checkpoints/torch-zip-tensor-huge.ckpt": lambda: torch_zip(
        tensor(b"\x8a\x06\x00\x00\x00\x00\x00\x01\x85K\x01\x85")
    ),
    "checkpoints/torch-zip-tensor-negative.ckpt": lambda: torch_zip(tensor(b"J\xff\xff\xff\xff\x85K\x01\x85")),
    "checkpoints/torch-zip-tensor-alone.ckpt": lambda: torch_zip(tensor(b"K\x04\x85K\x01\x85")),
    "checkpoints/torch-zip-no-pickle.ckpt": lambda: packed(("a/version", b"3\n")),
    "checkpoints/legacy.ckpt": lambda: legacy(BOMB),
    "checkpoints/tar.ckpt": lambda: tar(BOMB),
    "checkpoints/weights.ckpt": lambda: safetensors(described()),
    "checkpoints/nothing.ckpt": lambda: b"",
    "checkpoints/words.ckpt": lambda: b"state_dict",
    "data/pickle.npy": lambda: BOMB,
    "data/pickle-inside.npy": lambda: npy(OBJECT),
    "data/pickle-inside.npz": lambda: npz(x=OBJECT),
    "data/pickle-as-split.npz": lambda: npz(x=numpy.eye(4), split=OBJECT),
    "data/bomb.npz": lambda: packed(("x.npy", zeros(100)), method=zipfile.ZIP_DEFLATED),
    "data/bomb-bzip2.npz": lambda: packed(("x.npy", zeros(100)), method=zipfile.ZIP_BZIP2),
    "data/header-huge.npy": lambda: headed(HUGE),
    "data/header-negative.npy": lambda: headed(NEGATIVE, bytes(48)),
    "data/header-nested.npy": lambda: headed(NESTED),
    "data/header-code.npy": lambda: headed(CODE),
    "data/header-subarray.npy": lambda: headed(SUBARRAY),
    "data/words.npy": lambda: npy(numpy.full((4, 2), "\x1b[31mred")),
    "data/structured.npy": lambda: npy(numpy.zeros((4, 2), [("\x1b[31mred", "<f4")])),
    "data/times.npy": lambda: npy(numpy.zeros((4, 2), "datetime64[s]")),
    "data/complex.npy": lambda: npy(numpy.zeros((4, 2), complex)),
    "data/infinite.npy": lambda: npy(numpy.full((4, 2), numpy.inf)),
    "data/number.npy": lambda: npy(numpy.zeros(())),
    "data/no-columns.npy": lambda: npy(numpy.zeros((10**9, 0))),
    "data/name-escape.npz": lambda: packed(("\x1b[31mred\nerror: forged.npy", npy(numpy.eye(4)))),
    "data/split-escape.npz": lambda: npz(x=numpy.eye(4), split=numpy.array(["\x1b[31mred\nerror: forged"] * 4)),
    "data/split-shape.npz": lambda: npz(x=numpy.eye(4), split=numpy.full((2, 2), "train")),
    "data/labels-shape.npz": lambda: npz(x=numpy.eye(4), y=numpy.array([["\x1b[31mred", "a"]] * 4)),
    "data/begin.mat": lambda: b"MATLAB 5.0 MAT-file\x1b[31mred".ljust(124) + b"\x00\x01IM" + b"\x0f" * 400,
    "data/begin-hdf5.mat": lambda: bytes(512) + b"\x89HDF\r\n\x1a\n" + b"\xff" * 400,
    "data/begin.parquet": lambda: b"PAR1" + b"\xff" * 400 + b"PAR1",
    "data/truncated.npz": lambda: npz(x=numpy.eye(4))[:100],
    "data/formula.csv": lambda: b"=cmd|' /C calc'!A0,1\n=1+1,2\n@SUM(1),3\n1,2\n",
    "data/escapes.csv": lambda: b"1,2\n\x1b[31mred,3\n4,5\n",
    "data/nul.csv": lambda: b"1,\x000\n0,1\n1,1\n",
    "data/utf8.csv": lambda: b"1,2\n\xff\xfe,3\n4,5\n",
    "data/ragged.csv": lambda: b"1,2\n3\n4,5\n",
    "data/overflow.csv": lambda: b"1,1e999\n0,1\n1,0\n",
    "data/nan.csv": lambda: b"1,nan\n0,1\n1,0\n",
    "data/headings.csv": lambda: b"a,b\n",
    "data/nothing.csv": lambda: b"",
    "per_example/pickle.npz": lambda: npz(log_prob=OBJECT, index=OBJECT),
    "per_example/bomb.npz": lambda: packed(("log_prob.npy", zeros(100)), method=zipfile.ZIP_DEFLATED),
    "per_example/header-huge.npz": lambda: npz(log_prob=headed(HUGE), index=headed(HUGE)),
    "per_example/index-twice.npz": lambda: npz(log_prob=numpy.zeros(6), index=numpy.zeros(6, int)),
    "per_example/words.npz": lambda: npz(log_prob=numpy.full(6, "\x1b[31mred"), index=numpy.arange(6)),
    "per_example/complex.npz": lambda: npz(log_prob=numpy.zeros(6, complex), index=numpy.arange(6)),
    "per_example/nan.npz": lambda: npz(log_prob=numpy.full(6, numpy.nan), index=numpy.arange(6)),
    "per_example/matrix.npz": lambda: npz(log_prob=numpy.zeros((6, 6)), index=numpy.zeros((6, 6), int)),
    "per_example/name-escape.npz": lambda: packed(("\x1b[31mred\nwarning: forged.npy", npy(numpy.zeros(6)))),
}


if __name__ == "__main__":
    for name, content in FILES.items():
        (HERE / name).write_bytes(content())
