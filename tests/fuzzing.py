"""A fuzzer guided by coverage: inputs that reach lines which none reached before are kept and changed further.

Our own, because it needs nothing installed, runs in the process of the tests on every Python, and sees the code that reads
our input, ours and Pillow's, which is Python. ``sys.settrace`` makes it slow: some hundred inputs a second.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import numpy as np

LARGEST = 1 << 14
"""Bytes of an input."""
NUMBERS = (b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1", b"\x80\0\0\0", b"-1", b"9" * 20, b"1e999")


@dataclass
class Fuzz:
    """Inputs so far, and what they reached.

    Attributes:
        target: is given every input; whatever it raises is a find.
        watched: parts of the paths of files whose lines count.
        tokens: what is put into inputs, besides numbers at their edges.
        generator: draws everything.
    """

    target: Callable[[bytes], object]
    watched: Sequence[str]
    tokens: Sequence[bytes]
    generator: np.random.Generator
    corpus: list[bytes] = field(default_factory=list)
    reached: set[tuple[str, int, int]] = field(default_factory=set)
    tried: int = 0

    def run(self, seeds: Sequence[bytes], seconds: float, *, fewest: int = 25) -> None:
        """Try the seeds, then changed inputs until the time is over and there have been a few, however busy the machine.

        Raises:
            AssertionError: the target raised something; has the input and the last inputs' number, to try it again.
        """
        end = time.monotonic() + seconds
        for own in seeds:
            self._try(own)
        while time.monotonic() < end or self.tried < fewest:
            # late finds are changed more often: what reached a new line last is nearest to the next one
            place = int(len(self.corpus) * self.generator.random() ** 0.5)
            self._try(self._changed(self.corpus[min(place, len(self.corpus) - 1)]))

    def _try(self, content: bytes) -> None:
        before, self.tried = len(self.reached), self.tried + 1
        kept = sys.gettrace()
        sys.settrace(self._entered)
        try:
            self.target(content)
        except Exception as error:
            sys.settrace(kept)
            raise AssertionError(f"input {self.tried}, {len(content)} bytes: {content!r}") from error
        finally:
            sys.settrace(kept)
        if len(self.reached) > before or not self.corpus:
            self.corpus.append(content)

    def _entered(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        file = frame.f_code.co_filename
        if not any(part in file for part in self.watched):
            return None
        last = frame.f_lineno

        def stepped(inner: FrameType, what: str, _: Any) -> Callable[..., Any]:
            nonlocal last
            if what == "line":
                self.reached.add((file, last, inner.f_lineno))
                last = inner.f_lineno
            return stepped

        return stepped

    def _changed(self, content: bytes) -> bytes:
        for _ in range(1 + int(self.generator.geometric(0.5))):
            content = self._once(content)
        return content[:LARGEST]

    def _once(self, content: bytes) -> bytes:
        """Bytes flipped, put in, taken out, doubled, moved, or from another input."""
        start, stop = sorted(int(place) for place in self.generator.integers(0, len(content) + 1, size=2))
        stop = min(stop, start + int(self.generator.integers(1, 64)))
        other = self.corpus[int(self.generator.integers(len(self.corpus)))]
        token = (*self.tokens, *NUMBERS)[int(self.generator.integers(len(self.tokens) + len(NUMBERS)))]
        match int(self.generator.integers(7)):
            case 0:
                flipped = bytes(own ^ (1 << int(self.generator.integers(8))) for own in content[start : start + 1])
                return content[:start] + flipped + content[start + 1 :]
            case 1:
                return content[:start] + token + content[start:]
            case 2:
                return content[:start] + token + content[start + len(token) :]
            case 3:
                return content[:start] + content[stop:]
            case 4:
                return content[:stop] + content[start:stop] + content[stop:]
            case 5:
                return content[:start] + other[start:]
            case _:
                return content[:start] + self.generator.bytes(stop - start) + content[stop:]
