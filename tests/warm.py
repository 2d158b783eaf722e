"""Programs that need not import again: they are forked from a process that has imported what the library stands on.

torch and transformers take seconds to import, and a page of the documentation starts several programs. The server imports
them once; what is forked from it is a process like any other, with arguments, folder, environment, input and output of its
own. Two things differ from a fresh start: what is read from the environment in an import (such as ``OMP_NUM_THREADS``) is
the server's, and so is the seed of hashes. This library itself is imported afterwards, because polars starts threads then,
and a process with threads is not safely forked.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

IMPORTED = (
    "torch._dynamo",
    "torch.distributed.tensor",
    "transformers.modeling_utils",
    "transformers.processing_utils",
    "transformers.models.auto",
    "transformers.models.bert.modeling_bert",
    "accelerate",
    "scipy.optimize",
    "matplotlib.pyplot",
    "cyclopts",
    "pydantic",
    "rich.console",
    "safetensors.torch",
    "PIL.Image",
)


class Warm:
    """The server, and a folder with programs that ask it: ``transrec`` and ``python``."""

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "bin"
        self.programs.mkdir(parents=True)
        address = folder / "ask"
        for name in ("transrec", "python"):
            program = self.programs / name
            program.write_text(
                f"#!{sys.executable} -IS\nimport sys\nsys.path.append({str(Path(__file__).parent)!r})\n"
                f"from warm_client import ask\nask({str(address)!r}, {name!r})\n"
            )
            program.chmod(0o755)
        self.process = subprocess.Popen([sys.executable, __file__, str(address)], stdin=subprocess.PIPE)
        end = time.monotonic() + 120
        while not address.exists():
            assert self.process.poll() is None, "the server of warm programs did not start"
            assert time.monotonic() < end, "the server of warm programs takes more than two minutes to start"
            time.sleep(0.05)

    def close(self) -> None:
        """End the server; it ends by itself, too, when whoever started it is gone."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


def serve(address: str) -> dict[str, Any] | None:
    """Fork a process for each that asks, and return there, with what it is to do; in the server, at its end, return None."""
    for name in IMPORTED:
        importlib.import_module(name)
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a process with threads is not safely forked"
    gc.freeze()  # what is imported stays shared with those who are forked
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address + ".new")
        listener.listen()
        Path(address + ".new").rename(address)  # it is there when it answers
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                return None
            line, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                return attend(line)
            line.close()


def attend(line: socket.socket) -> dict[str, Any]:
    """Fork once more and return there with what is to be done; here look after that process until it ends."""
    head, files, _, _ = socket.recv_fds(line, 8, 3)
    size, request = int.from_bytes(head, "big"), b""
    while len(request) < size:
        request += line.recv(size - len(request))
    child = os.fork()
    if child == 0:
        line.close()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        wanted: dict[str, Any] = json.loads(request)
        return wanted
    for number in (0, 1, 2, *files):
        os.close(number)
    ended = os.pidfd_open(child)
    watched: list[Any] = [line, ended]
    while ended not in (ready := select.select(watched, [], [])[0]):
        if line in ready:
            said = line.recv(1)
            os.kill(child, said[0] if said else signal.SIGKILL)
            watched = watched if said else [ended]
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
        line.sendall(bytes([status if status >= 0 else 128 - status]))
    os._exit(0)


def become(wanted: dict[str, Any]) -> None:
    """Be the program that was asked for."""
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    words = list(wanted["words"])
    sys.path[1:1] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path not in sys.path]
    if wanted["program"] == "transrec":
        from transrec.cli import main

        sys.path.pop(0)
        sys.argv = ["transrec", *words]
        main()
        return
    sys.path[0] = ""
    if words[:1] == ["-m"]:
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words and words[0] not in ("-c", "-"):
        sys.argv, sys.path[0] = words, str(Path(words[0]).resolve().parent)
        runpy.run_path(words[0], run_name="__main__")
    else:
        code = words[1] if words[:1] == ["-c"] else sys.stdin.read()
        sys.argv = ["-c", *words[2:]]
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})


def end_at_once(status: int) -> None:
    """Leave with nothing torn down: taking the imports apart again takes longer than most programs do."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


if __name__ == "__main__":
    asked = serve(sys.argv[1])
    try:
        if asked is not None:
            become(asked)
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            print(end.code, file=sys.stderr)
        end_at_once(end.code or 0 if isinstance(end.code, int | None) else 1)
    except BaseException:
        traceback.print_exc()
        end_at_once(1)
    end_at_once(0)
