"""Classes by their import path: what is found, and what is said when it is not."""

from __future__ import annotations

import pytest

from transrec.errors import ModelError
from transrec.finding import class_at
from transrec.items.encoder import ModalityEncoder
from transrec.items.text import TextEncoder
from transrec.users.encoder import UserEncoder


def test_a_class_is_found_by_its_path() -> None:
    assert class_at("transrec.items.text:TextEncoder", ModalityEncoder) is TextEncoder


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("no_such_module:Thing", "cannot be imported"),
        ("json:NoSuchThing", "cannot be imported"),
        ("json:JSONDecoder", "is not a ModalityEncoder"),
        ("torch.nn:Linear", "is not a ModalityEncoder"),
        ("json:loads", "is not a ModalityEncoder"),
        ("JSONDecoder", "is not an import path"),
        ("transrec.items.text:", "is not an import path"),
    ],
)
def test_only_what_keeps_the_contract_can_be_named(path: str, complaint: str) -> None:
    with pytest.raises(ModelError, match=complaint):
        class_at(path, ModalityEncoder)


def test_the_setting_is_named() -> None:
    with pytest.raises(ModelError, match=r"TextEncoder is not a UserEncoder \[model.users.custom\]"):
        class_at("transrec.items.text:TextEncoder", UserEncoder, where="model.users.custom")
