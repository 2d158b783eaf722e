"""What a warm program does: it asks the server of ``warm.py``, and ends as the process that was forked for it ends."""

import json
import os
import signal
import socket
import sys


def ask(address: str, program: str) -> None:
    """Have this program run with our arguments, folder, environment and files; pass on signals; end with its status."""
    folder = os.getcwd()  # noqa: PTH109  (pathlib would be half of the start)
    wanted = {"program": program, "words": sys.argv[1:], "folder": folder, "environment": dict(os.environ)}
    request = json.dumps(wanted).encode()
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(address)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: line.sendall(bytes([number])))
        socket.send_fds(line, [len(request).to_bytes(8, "big")], [0, 1, 2])
        line.sendall(request)
        status = line.recv(1)
    sys.exit(status[0] if status else "the server of warm programs is gone")
