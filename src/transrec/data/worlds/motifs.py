"""Motifs: a small drawing for each topic, as polygons in a square that reaches from -1 to 1, y downwards."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

Role = Literal["main", "accent", "light", "dark"]


class Patch(NamedTuple):
    """A filled polygon; ``points`` has shape (n, 2)."""

    role: Role
    points: np.ndarray


def _poly(role: Role, *points: tuple[float, float]) -> Patch:
    return Patch(role, np.array(points))


def _disc(role: Role, x: float, y: float, rx: float, ry: float | None = None, *, turn: float = 0.0) -> Patch:
    """An ellipse, turned by ``turn`` degrees."""
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    across, along = rx * np.cos(angles), (rx if ry is None else ry) * np.sin(angles)
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    return Patch(role, np.stack([x + c * across - s * along, y + s * across + c * along], axis=1))


def _bar(role: Role, x0: float, y0: float, x1: float, y1: float, width: float = 0.14) -> Patch:
    """A straight stroke."""
    start, end = np.array([x0, y0]), np.array([x1, y1])
    along = (end - start) / np.linalg.norm(end - start)
    side = np.array([-along[1], along[0]]) * width / 2
    return Patch(role, np.stack([start + side, end + side, end - side, start - side]))


def _around(count: int, radius: float, *, start: float = -90.0) -> list[tuple[float, float, float]]:
    """``count`` places on a circle: x, y and the angle in degrees."""
    angles = [start + 360.0 * k / count for k in range(count)]
    return [(radius * float(np.cos(np.radians(a))), radius * float(np.sin(np.radians(a))), a) for a in angles]


def _hexagon(role: Role, x: float, y: float, radius: float) -> Patch:
    return _poly(role, *((x + dx, y + dy) for dx, dy, _ in _around(6, radius)))


def _ring(x: float, y: float, radius: float) -> list[Patch]:
    spokes = [_bar("light", x, y, x + dx, y + dy, 0.05) for dx, dy, _ in _around(6, radius * 0.85)]
    return [_disc("main", x, y, radius), _disc("dark", x, y, radius * 0.74), *spokes]


MOTIFS: dict[str, tuple[Patch, ...]] = {
    "orchard": (
        _disc("main", -0.3, 0.2, 0.52, 0.62),
        _disc("main", 0.3, 0.2, 0.52, 0.62),
        _disc("light", -0.45, 0.0, 0.12, 0.22),
        _bar("dark", 0, -0.3, 0.1, -0.85),
        _disc("accent", 0.42, -0.68, 0.32, 0.15, turn=-25),
    ),
    "pottery": (
        _poly(
            "main",
            (-0.35, -0.7),
            (0.35, -0.7),
            (0.22, -0.4),
            (0.7, 0.1),
            (0.4, 0.9),
            (-0.4, 0.9),
            (-0.7, 0.1),
            (-0.22, -0.4),
        ),
        _poly("accent", (-0.66, 0.0), (0.66, 0.0), (0.66, 0.2), (-0.66, 0.2)),
        _bar("light", -0.45, -0.72, 0.45, -0.72, 0.18),
    ),
    "baking": (
        _poly("accent", (-0.6, 0.05), (0.6, 0.05), (0.42, 0.9), (-0.42, 0.9)),
        _disc("main", 0, 0.0, 0.78, 0.34),
        _disc("main", 0, -0.3, 0.55, 0.3),
        _disc("light", 0, -0.52, 0.32, 0.22),
        _disc("dark", 0, -0.8, 0.14),
    ),
    "beekeeping": (
        _hexagon("main", 0, 0, 0.36),
        *(_hexagon("main", x, y, 0.36) for x, y, _ in _around(6, 0.64, start=0)),
        _hexagon("light", 0, 0, 0.2),
        *(_hexagon("dark", x, y, 0.2) for x, y, _ in _around(3, 0.64, start=0)),
    ),
    "jazz": (
        _disc("main", -0.5, 0.6, 0.34, 0.26, turn=-20),
        _disc("main", 0.5, 0.42, 0.34, 0.26, turn=-20),
        _bar("main", -0.25, 0.55, -0.25, -0.75),
        _bar("main", 0.75, 0.36, 0.75, -0.9),
        _poly("accent", (-0.32, -0.78), (0.82, -0.98), (0.82, -0.62), (-0.32, -0.42)),
    ),
    "tennis": (
        _disc("main", 0.15, -0.3, 0.58, 0.66, turn=25),
        _disc("light", 0.15, -0.3, 0.42, 0.5, turn=25),
        _bar("main", 0.0, -0.8, 0.3, 0.2, 0.06),
        _bar("main", -0.3, -0.3, 0.6, -0.3, 0.06),
        _bar("dark", -0.12, 0.25, -0.5, 0.95, 0.2),
        _disc("accent", 0.65, 0.6, 0.26),
    ),
    "gardening": (
        _bar("dark", 0, 0.9, 0, -0.1, 0.13),
        _disc("main", -0.4, -0.2, 0.5, 0.26, turn=35),
        _disc("main", 0.4, -0.4, 0.55, 0.28, turn=-40),
        _bar("light", -0.65, -0.38, -0.1, 0.0, 0.05),
        _bar("light", 0.05, -0.12, 0.7, -0.65, 0.05),
        _disc("accent", 0, 0.9, 0.6, 0.16),
    ),
    "camping": (
        _poly("main", (0, -0.8), (0.95, 0.75), (-0.95, 0.75)),
        _poly("dark", (0, -0.2), (0.34, 0.75), (-0.34, 0.75)),
        _poly("light", (0, -0.8), (0.1, -0.5), (-0.75, 0.75), (-0.95, 0.75)),
        _bar("accent", -1.0, 0.8, 1.0, 0.8, 0.14),
    ),
    "cacti": (
        _disc("main", 0, -0.1, 0.26, 0.8),
        _bar("main", -0.6, 0.1, 0, 0.1, 0.2),
        _bar("main", 0, -0.15, 0.6, -0.15, 0.2),
        _disc("main", -0.62, -0.15, 0.14, 0.36),
        _disc("main", 0.62, -0.42, 0.14, 0.36),
        _bar("light", 0, -0.7, 0, 0.4, 0.05),
        _poly("accent", (-0.5, 0.5), (0.5, 0.5), (0.36, 0.98), (-0.36, 0.98)),
    ),
    "chess": (
        _disc("main", 0, -0.5, 0.36),
        _poly("main", (-0.16, -0.3), (0.16, -0.3), (0.42, 0.6), (-0.42, 0.6)),
        _bar("accent", -0.4, -0.12, 0.4, -0.12),
        _poly("dark", (-0.65, 0.6), (0.65, 0.6), (0.65, 0.92), (-0.65, 0.92)),
        _disc("light", -0.12, -0.6, 0.1),
    ),
    "tea": (
        _disc("main", 0.62, 0.12, 0.34),
        _disc("light", 0.62, 0.12, 0.17),
        _poly("main", (-0.75, -0.3), (0.6, -0.3), (0.42, 0.6), (-0.55, 0.6)),
        _disc("dark", -0.08, -0.3, 0.67, 0.15),
        _disc("accent", -0.08, 0.74, 0.82, 0.13),
        _bar("light", -0.3, -0.85, -0.2, -0.5, 0.08),
        _bar("light", 0.1, -0.95, 0.2, -0.55, 0.08),
    ),
    "birds": (
        _disc("main", 0, 0.15, 0.62, 0.44, turn=20),
        _disc("main", -0.48, -0.35, 0.32),
        _poly("accent", (-0.75, -0.5), (-0.75, -0.2), (-1.05, -0.3)),
        _poly("main", (0.4, 0.2), (1.0, 0.25), (0.9, 0.6)),
        _disc("dark", 0.12, 0.12, 0.38, 0.2, turn=30),
        _disc("light", -0.52, -0.42, 0.09),
        _bar("accent", -0.1, 0.5, -0.15, 0.95, 0.08),
        _bar("accent", 0.2, 0.5, 0.2, 0.95, 0.08),
    ),
    "diving": (
        _disc("main", -0.15, 0, 0.68, 0.44),
        _poly("main", (0.4, 0), (0.98, -0.48), (0.98, 0.48)),
        _poly("accent", (-0.2, -0.35), (0.2, -0.75), (0.3, -0.3)),
        _bar("light", 0.0, -0.38, 0.0, 0.38, 0.12),
        _bar("light", 0.28, -0.3, 0.28, 0.3, 0.1),
        _disc("dark", -0.5, -0.1, 0.1),
    ),
    "sailing": (
        _poly("dark", (-0.95, 0.4), (0.95, 0.4), (0.55, 0.85), (-0.55, 0.85)),
        _bar("dark", 0, 0.4, 0, -0.95, 0.08),
        _poly("main", (0.1, -0.9), (0.1, 0.28), (0.8, 0.28)),
        _poly("light", (-0.1, -0.65), (-0.1, 0.28), (-0.65, 0.28)),
    ),
    "winter": (
        *(_bar("main", 0, 0, x, y, 0.16) for x, y, _ in _around(6, 0.92)),
        *(
            _bar("accent", x * 1.0, y * 1.0, x * 1.0 + u * 0.32, y * 1.0 + v * 0.32, 0.1)
            for (x, y, a) in _around(6, 0.52)
            for u, v, _ in _around(2, 1.0, start=a + 50)[:1] + _around(2, 1.0, start=a - 50)[:1]
        ),
        _disc("light", 0, 0, 0.17),
    ),
    "trains": (
        _poly("main", (-0.9, -0.1), (0.2, -0.1), (0.2, 0.5), (-0.9, 0.5)),
        _poly("accent", (0.15, -0.65), (0.9, -0.65), (0.9, 0.5), (0.15, 0.5)),
        _poly("light", (0.34, -0.48), (0.72, -0.48), (0.72, -0.1), (0.34, -0.1)),
        _poly("main", (-0.78, -0.1), (-0.4, -0.1), (-0.32, -0.7), (-0.86, -0.7)),
        *(_disc("dark", x, 0.6, 0.26) for x in (-0.6, 0.0, 0.6)),
        *(_disc("light", x, 0.6, 0.09) for x in (-0.6, 0.0, 0.6)),
    ),
    "astronomy": (
        _disc("light", 0, 0.05, 1.02, 0.3, turn=-22),
        _disc("dark", 0, 0.05, 0.8, 0.17, turn=-22),
        _disc("main", 0, 0, 0.56),
        _disc("accent", -0.16, -0.2, 0.2, 0.12),
        _disc("accent", 0.2, 0.22, 0.15, 0.1),
        _bar("light", -0.5, 0.3, 0.55, -0.08, 0.12),
    ),
    "cycling": (
        *_ring(-0.55, 0.35, 0.42),
        *_ring(0.55, 0.35, 0.42),
        _bar("accent", -0.55, 0.35, -0.2, -0.3),
        _bar("accent", -0.2, -0.3, 0.4, -0.3),
        _bar("accent", 0.0, 0.35, 0.4, -0.3),
        _bar("accent", -0.2, -0.3, 0.0, 0.35),
        _bar("accent", 0.3, -0.65, 0.55, 0.35),
        _bar("main", 0.2, -0.65, 0.6, -0.65, 0.16),
        _bar("main", -0.42, -0.42, 0.0, -0.42, 0.16),
    ),
    "photography": (
        _poly("dark", (-0.4, -0.7), (0.3, -0.7), (0.42, -0.4), (-0.5, -0.4)),
        _poly("main", (-0.92, -0.45), (0.92, -0.45), (0.92, 0.65), (-0.92, 0.65)),
        _disc("dark", 0, 0.1, 0.46),
        _disc("accent", 0, 0.1, 0.32),
        _disc("light", -0.1, 0.0, 0.12),
        _disc("light", 0.7, -0.25, 0.1),
    ),
    "vineyard": (
        *(
            _disc("main", x, y, 0.25)
            for x, y in ((-0.55, -0.25), (0, -0.25), (0.55, -0.25), (-0.28, 0.2), (0.28, 0.2), (0, 0.65))
        ),
        *(_disc("light", x - 0.08, y - 0.08, 0.07) for x, y in ((-0.55, -0.25), (0.55, -0.25), (0.28, 0.2), (0, 0.65))),
        _bar("dark", 0, -0.4, 0.08, -0.95, 0.1),
        _disc("accent", 0.4, -0.7, 0.35, 0.2, turn=-15),
    ),
    "knitting": (
        _bar("dark", -0.85, -0.85, 0.8, 0.7, 0.1),
        _bar("dark", 0.85, -0.85, -0.8, 0.7, 0.1),
        _disc("main", 0, 0.12, 0.66),
        _bar("light", -0.5, -0.1, 0.35, 0.6, 0.08),
        _bar("light", -0.35, -0.32, 0.55, 0.4, 0.08),
        _bar("accent", -0.5, 0.42, 0.15, -0.45, 0.08),
        _bar("accent", -0.22, 0.66, 0.5, -0.28, 0.08),
        _disc("accent", 0.85, -0.85, 0.13),
        _disc("accent", -0.85, -0.85, 0.13),
    ),
    "flowers": (
        _bar("dark", 0, 0.1, 0.05, 1.0, 0.12),
        *(_disc("main", x, y - 0.25, 0.34, 0.2, turn=a) for x, y, a in _around(7, 0.42)),
        _disc("accent", 0, -0.25, 0.24),
        _disc("dark", 0.3, 0.68, 0.28, 0.12, turn=-30),
    ),
    "letters": (
        _poly("main", (-0.95, -0.6), (0.95, -0.6), (0.95, 0.65), (-0.95, 0.65)),
        _poly("light", (-0.95, -0.6), (0.95, -0.6), (0, 0.18)),
        _bar("dark", -0.95, -0.6, 0, 0.18, 0.07),
        _bar("dark", 0.95, -0.6, 0, 0.18, 0.07),
        _disc("accent", 0, 0.16, 0.2),
    ),
    "mushrooms": (
        _poly("light", (-0.22, 0.0), (0.22, 0.0), (0.34, 0.9), (-0.34, 0.9)),
        _poly("main", *((0.92 * float(np.cos(a)), 0.1 - 0.85 * float(np.sin(a))) for a in np.linspace(0, np.pi, 14))),
        _disc("accent", -0.4, -0.25, 0.16),
        _disc("accent", 0.12, -0.5, 0.17),
        _disc("accent", 0.5, -0.15, 0.13),
    ),
}
