from __future__ import annotations

import numpy as np

from transrec.evaluation.slices import Slice, by_history, by_modality, by_popularity


def members(slices: list[Slice]) -> dict[str, list[int]]:
    return {part.label: np.flatnonzero(part.mask_E).tolist() for part in slices}


def test_by_modality() -> None:
    presence = {"text": np.array([1, 1, 0, 0, 0], bool), "image": np.array([1, 0, 1, 0, 0], bool)}
    presence["audio"] = np.array([0, 0, 0, 1, 0], bool)
    assert members(by_modality(np.array([0, 1, 2, 3, 1, 4]), presence)) == {
        "no content": [5],
        "text only": [1, 4],
        "image only": [2],
        "text + image": [0],
        "audio only": [3],
    }


def test_by_popularity() -> None:
    counts = np.array([0, 1, 4, 5, 19, 20, 999])
    assert members(by_popularity(np.arange(7), counts)) == {
        "0 (cold)": [0],
        "1-4": [1, 2],
        "5-19": [3, 4],
        "20+": [5, 6],
        "0-4 (tail)": [0, 1, 2],
    }
    assert members(by_popularity(np.array([5, 6]), counts)) == {"20+": [0, 1]}


def test_by_history() -> None:
    lengths = np.array([0, 1, 4, 5, 49, 50, 1000])
    assert members(by_history(lengths)) == {"0": [0], "1-4": [1, 2], "5-9": [3], "20-49": [4], "50+": [5, 6]}
