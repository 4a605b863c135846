"""Opens hostile model folders, many in one process: `python -m tests.attacks_child BASES ROOT FIRST LAST`.

BASES has a folder of each kind that is good. Of each case the folder is made in ROOT from its number alone, opened, and
asked; a line of JSON says what came of it. Between two calls that only `strace` sees, nothing but the folder should be
opened; Python's own opens are checked here as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from replicate.nets import upstream

upstream.quiet()

from replicate.common.errors import UserError  # noqa: E402
from replicate.inference.exported import MANIFEST  # noqa: E402
from replicate.inference.predict import Labeller  # noqa: E402
from replicate.inference.runtime import open_runtime  # noqa: E402
from tests.hostile import sealed  # noqa: E402

# Bytes that the cases may take beside what the process has when it begins.
MEMORY = 300 << 20
SECRET = b"the bytes of a file that is nobody's business\n"
MARK = "/case-begins-here", "/case-ends-here"
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    7,
    1e308,
    float("nan"),
    float("inf"),
    2**31,
    2**63,
    10**12,
    10**30,
    "",
    "x" * 5000,
    "\x1b[2J",
    "../../../etc/passwd",
    "/etc/passwd",
    [],
    {},
    [[[[]]]],
    ["a"] * 1000,
    {"a": {"b": {"c": 1}}},
)
NUMBERS = (-1, 0, 1, 2, 3, 7, 100, 2**31 - 1, -(2**31), 2**31 - 7)
PADDLE = "save load save_combine load_combine py_func print while send recv run_program assert read".split()
ONNX = "If Loop Scan Identity Expand Tile Range NonZero Upsample Optional SequenceAt Constant".split()


def change_bytes(rng: random.Random, path: Path) -> None:
    """Bytes changed, put in, cut out, doubled or cut off."""
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 2, 8))):
        place, size = rng.randrange(len(data) + 1), rng.choice((1, 2, 4, 8, 64, 1000))
        kind = rng.randrange(6)
        if kind == 0:
            data[place : place + size] = rng.randbytes(size)
        elif kind == 1:
            data[place:place] = rng.randbytes(size)
        elif kind == 2:
            del data[place : place + size]
        elif kind == 3:
            data[place:place] = data[place : place + size]
        elif kind == 4:
            data[place : place + 8] = struct.pack("<q", rng.choice((-1, 1 << 40, 1 << 62, 0)))
        else:
            del data[place:]
    path.write_bytes(data)


def change_json(rng: random.Random, path: Path) -> None:
    """A value, a key or all of it replaced; also by what is deep or has very many digits."""
    fields = json.loads(path.read_bytes())
    for _ in range(rng.choice((1, 1, 3))):
        place: Any = fields
        while isinstance(place, dict) and place:
            name = rng.choice(list(place))
            if not isinstance(place[name], dict) or rng.random() < 0.5:
                break
            place = place[name]
        if not isinstance(place, dict) or not place:
            break
        kind = rng.randrange(8)
        if kind == 0:
            del place[name]
        elif kind == 1:
            place[rng.choice(("kept_heads", "student", "auto_map", "architectures", "use_task_id", "x"))] = place[name]
        else:
            place[name] = rng.choice(VALUES)
    text = json.dumps(fields)
    if rng.random() < 0.1:
        text = rng.choice(("[" * 100_000, "9" * 5000, '{"a": ' * 3000, "null", "", "[1]", text[:-1], text + "x"))
    path.write_text(text, encoding="utf-8")


def change_lines(rng: random.Random, path: Path) -> None:
    """Lines dropped, doubled or new."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for _ in range(rng.choice((1, 2, 50))):
        place = rng.randrange(len(lines) + 1)
        kind = rng.randrange(3)
        if kind == 0:
            del lines[place : place + 1]
        else:
            lines.insert(place, rng.choice(("", "x" * 10_000, "\x1b[2J", "[PAD]", "甲", "<b>", f"n{place}")))
    path.write_text("\n".join(lines), encoding="utf-8")


def change_header(rng: random.Random, path: Path) -> None:
    """The header of a safetensors file says something else of its arrays."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    name = rng.choice(list(header))
    kind = rng.randrange(5)
    if kind == 0:
        header[name]["shape"] = [rng.choice((0, 1, -1, 2**40, 48)) for _ in range(rng.choice((0, 1, 2, 3)))]
    elif kind == 1:
        header[name]["dtype"] = rng.choice(("F64", "F16", "BF16", "BOOL", "I8", "X", None))
    elif kind == 2:
        header[name]["data_offsets"] = [rng.choice((0, 4, 2**40, -4)) for _ in range(2)]
    elif kind == 3:
        header[rng.choice(("x", "__metadata__", "../x"))] = header.pop(name)
    else:
        del header[name]
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])


def change_program(rng: random.Random, path: Path) -> None:
    """Operators of a static graph put in, taken out, renamed, joined otherwise, or with other numbers."""
    from paddle.base.proto.framework_pb2 import ProgramDesc

    program = ProgramDesc.FromString(path.read_bytes())
    block = program.blocks[0]
    outside = str(path.parent.parent / "outside")
    for _ in range(rng.choice((1, 1, 2, 4))):
        operator = rng.choice(list(block.ops))
        kind = rng.randrange(9)
        if kind == 0:
            operator.type = rng.choice((*PADDLE, *[one.type for one in block.ops]))
        elif kind == 1:
            for attribute in operator.attrs:
                if attribute.HasField("i") and rng.random() < 0.5:
                    attribute.i = rng.choice(NUMBERS)
                for place in range(len(attribute.ints)):
                    attribute.ints[place] = rng.choice(NUMBERS)
        elif kind == 2 and operator.inputs:
            slot = rng.choice(list(operator.inputs))
            slot.arguments[:] = [rng.choice(list(block.vars)).name]
        elif kind == 3:
            block.ops.remove(operator)
        elif kind == 4:
            block.ops.add().CopyFrom(rng.choice(list(block.ops)[:-1]))
        elif kind == 5:
            variable = rng.choice(list(block.vars))
            variable.type.lod_tensor.tensor.data_type = rng.choice((0, 2, 3, 5, 6, 21, 25))
            variable.type.lod_tensor.tensor.dims[:] = [rng.choice((-1, 0, 1, 3, 48, 2**40)) for _ in range(2)]
        elif kind == 6:
            added = operator.attrs.add()
            added.name, added.type, added.s = rng.choice(("file_path", "op_device", "mode")), 2, outside
        elif kind == 7 and operator.attrs:
            operator.attrs.remove(rng.choice(list(operator.attrs)))
        elif kind == 8 and operator.inputs:
            operator.inputs.remove(rng.choice(list(operator.inputs)))
    path.write_bytes(program.SerializePartialToString())


def change_onnx(rng: random.Random, path: Path) -> None:
    """Nodes of an ONNX graph put in, taken out, renamed, joined otherwise; tensors elsewhere or of other sizes."""
    import onnx
    from onnx import helper

    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    for _ in range(rng.choice((1, 1, 2, 4))):
        node, tensor = rng.choice(list(graph.node)), rng.choice(list(graph.initializer))
        kind = rng.randrange(10)
        if kind == 0:
            node.op_type = rng.choice((*ONNX, *[one.op_type for one in graph.node]))
        elif kind == 1:
            for attribute in node.attribute:
                attribute.i = rng.choice((*NUMBERS, 2**62))
                for place in range(len(attribute.ints)):
                    attribute.ints[place] = rng.choice(NUMBERS)
        elif kind == 2 and node.input:
            node.input[rng.randrange(len(node.input))] = rng.choice([*graph.initializer, *graph.node]).name
        elif kind == 3:
            graph.node.remove(node)
        elif kind == 4:
            tensor.data_location = 1
            entry = tensor.external_data.add()
            entry.key, entry.value = "location", rng.choice(("../outside", "vocab.txt", "/etc/passwd"))
        elif kind == 5:
            tensor.dims[:] = [rng.choice((0, 1, 3, 48, 2**20, 2**40)) for _ in range(rng.choice((0, 1, 2)))]
        elif kind == 6:
            tensor.data_type = rng.choice((1, 2, 3, 6, 7, 8, 10, 16))
        elif kind == 7 and tensor.data_type == 7 and tensor.raw_data:
            size = len(tensor.raw_data) // 8
            tensor.raw_data = struct.pack(f"<{size}q", *(rng.choice((*NUMBERS, 2**40)) for _ in range(size)))
        elif kind == 8:
            # What makes something large of something small, again and again.
            grown = node.output[0]
            for place in range(40):
                graph.node.append(helper.make_node("Concat", [grown, grown], [f"grown{place}"], axis=0))
                grown = f"grown{place}"
        elif kind == 9 and node.attribute:
            node.attribute.remove(rng.choice(list(node.attribute)))
    path.write_bytes(model.SerializePartialToString())


def change_place(rng: random.Random, path: Path) -> None:
    """A file that is a link, a pipe, a folder or away."""
    path.unlink()
    kind = rng.randrange(6)
    if kind == 0:
        path.symlink_to(path.parent.parent / "outside")
    elif kind == 1:
        path.symlink_to(rng.choice(("/dev/zero", "/etc/passwd", path.name, "../bases")))
    elif kind == 2:
        os.mkfifo(path)
    elif kind == 3:
        path.mkdir()
    elif kind == 4:
        path.symlink_to("vocab.txt")


SPECIAL: dict[str, Callable[[random.Random, Path], None]] = {
    ".json": change_json,
    ".txt": change_lines,
    ".safetensors": change_header,
    ".pdmodel": change_program,
    ".onnx": change_onnx,
}


def make(number: int, bases: Path, root: Path) -> Path:
    """The folder of a case; what is in it depends on its number alone."""
    rng = random.Random(number)
    base = rng.choice(sorted(bases.iterdir()))
    folder = Path(shutil.copytree(base, root / f"case-{number}"))
    graphs = [path for path in folder.iterdir() if path.suffix in (".pdmodel", ".onnx", ".safetensors")]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        path = rng.choice([*graphs, *graphs, *sorted(folder.iterdir())])
        if not path.is_file() or path.is_symlink():
            continue
        change = SPECIAL.get(path.suffix, change_bytes)
        kind = rng.random()
        # What one change has broken the next may fail to read.
        with contextlib.suppress(Exception):
            (change_place if kind < 0.05 else change_bytes if kind < 0.3 else change)(rng, path)
    # An attacker has a manifest that agrees.
    if (folder / MANIFEST).is_file() and rng.random() < 0.9:
        with contextlib.suppress(Exception):
            sealed(folder)
    return folder


def attempt(folder: Path) -> tuple[str, str]:
    """What opening and asking a folder gives: `refused`, `answered`, or `failed`, and the words."""
    try:
        runtime = open_runtime(folder, threads=1)
        found = Labeller(runtime, min(48, runtime.positions)).label(["胃疼怎么办", "a", ""])
    except UserError as error:
        return ("refused" if "\n" not in str(error) and str(error).isprintable() else "failed"), str(error)
    except BaseException as error:
        return "failed", f"{type(error).__name__}: {error}"[:500]
    if SECRET.decode().strip() in repr(found):
        return "failed", "it tells what stands in another file"
    return "answered", ""


@contextlib.contextmanager
def watched(folder: Path, opened: list[str]) -> Iterator[None]:
    """Marks begin and end for `strace`."""
    WATCHED[:] = [str(folder), opened]
    with contextlib.suppress(OSError):
        os.stat(MARK[0])
    try:
        yield
    finally:
        WATCHED.clear()
        with contextlib.suppress(OSError):
            os.stat(MARK[1])


WATCHED: list[Any] = []
# What Python and the libraries read of themselves when it is first needed.
OWN = (sys.prefix, sys.base_prefix, os.path.dirname(os.__file__), "/proc/", "/sys/", "/dev/null", "/dev/urandom")


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    """Notes each file that Python opens beside the folder of the case."""
    if event != "open" or not WATCHED or not isinstance(arguments[0], str | bytes | os.PathLike):
        return
    path = os.path.abspath(os.fsdecode(arguments[0]))
    if not path.startswith((WATCHED[0], *OWN)) and not path.endswith((".py", ".pyc")):
        WATCHED[1].append(path)


def held_now(kind: str) -> int:
    """Bytes of this process that Linux counts under a name of /proc/self/status."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith(f"{kind}:"))


def main(bases: Path, root: Path, first: int, last: int) -> None:
    """Try the cases from `first` to before `last`."""
    for base in sorted(bases.iterdir()):
        # What is loaded once is loaded now, and the bases must be good.
        assert attempt(base)[0] == "answered", base
    (root / "outside").write_bytes(SECRET)
    limit = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (held_now("VmData") + MEMORY, limit))
    sys.addaudithook(hook)
    for number in range(first, last):
        print(json.dumps({"case": number}), flush=True)
        folder = make(number, bases, root)
        opened: list[str] = []
        with watched(folder, opened):
            outcome, words = attempt(folder)
        if opened:
            outcome, words = "failed", f"opened {opened[:3]}"
        # Of libraries the kernel maps as many pages at once as it likes, a hundred megabytes more or less.
        peak = held_now("VmHWM") - held_now("RssFile")
        print(json.dumps({"case": number, "outcome": outcome, "words": words, "peak": peak}), flush=True)
        for path in (folder, root / "outside"):
            if path == folder:
                shutil.rmtree(path, ignore_errors=True)
            elif path.read_bytes() != SECRET:
                print(
                    json.dumps({"case": number, "outcome": "failed", "words": "wrote outside", "peak": 0}), flush=True
                )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
