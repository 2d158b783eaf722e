import json
import pickle  # noqa: TID251 - the contract must find one

import pytest
import torch
from torch import nn

from transrec.data.catalog import Item
from transrec.errors import DataError
from transrec.items.encoder import ModalityEncoder
from transrec.testing import ModalityEncoderContract


class Letters(ModalityEncoder):
    """Mean of letter embeddings: holds to the contract."""

    modality = "text"

    def __init__(self):
        super().__init__()
        self.width = 4
        self.table = nn.Embedding(256, 4)
        self.out = nn.Linear(4, 4)

    def prepare(self, items):
        rows = []
        for item in items:
            if item.text is None:
                raise DataError(f"item {item.id!r} has no text")
            rows.append(torch.tensor([*item.text.encode(), *[0] * 20][:20], dtype=torch.int32))
        return {"bytes": torch.stack(rows)}

    def forward(self, prepared):
        return self.out(self.table(prepared["bytes"]).mean(dim=1))

    def blocks(self):
        return (self.table, self.out)

    def preparation_key(self):
        return "letters:1"

    def save_assets(self, folder):
        (folder / "letters.json").write_text(json.dumps({}))

    @classmethod
    def from_assets(cls, folder):  # noqa: ARG003
        return cls()


class DependsOnTheBatch(Letters):
    def forward(self, prepared):
        vectors = super().forward(prepared)
        return vectors - vectors.mean(dim=0) if len(vectors) > 1 else vectors


class PadsToTheBatch(Letters):
    def prepare(self, items):
        longest = max(len(item.text or "") for item in items)
        return {"bytes": super().prepare(items)["bytes"][:, :longest]}


class DropsAlways(Letters):
    def forward(self, prepared):
        return nn.functional.dropout(super().forward(prepared), training=True)


class SwallowsBadContent(Letters):
    def prepare(self, items):
        return super().prepare([item if item.text is not None else Item(item.id, text="") for item in items])


class BlamesNobody(Letters):
    def prepare(self, items):
        if any(item.text is None for item in items):
            raise DataError("an item has no text")
        return super().prepare(items)


class HasAnIdleParameter(Letters):
    def __init__(self):
        super().__init__()
        self.idle = nn.Linear(2, 2)


class ForgetsItsWeights(Letters):
    def __init__(self):
        super().__init__()
        self.scale = torch.rand(())

    def forward(self, prepared):
        return super().forward(prepared) * self.scale


class TurnsItsBlocks(Letters):
    def blocks(self):
        return (self.out, self.table)


class LendsABlock(Letters):
    def blocks(self):
        return (nn.Linear(2, 2),)


class CountsItsUse(Letters):
    def __init__(self):
        super().__init__()
        self.used = 0

    def prepare(self, items):
        self.used += 1
        return super().prepare(items)

    def preparation_key(self):
        return f"letters:{self.used}"


class Pickles(Letters):
    def save_assets(self, folder):
        (folder / "state").write_bytes(pickle.dumps({}))


class SavesWithTorch(Letters):
    def save_assets(self, folder):
        torch.save({}, folder / "state")


class WidensSilently(Letters):
    def forward(self, prepared):
        return super().forward(prepared).double()


class WritesIntoContent(Letters):
    def forward(self, prepared):
        vectors = super().forward(prepared)
        prepared["bytes"].zero_()
        return vectors


class FrozenYetDropping(Letters):
    def forward(self, prepared):
        return nn.functional.dropout(super().forward(prepared), training=self.training)

    def train(self, mode=True):
        return nn.Module.train(self, mode)


class CutsWrongly(Letters):
    def lower(self, prepared, below):
        return {"states": 2 * super().lower(prepared, below)["states"]}

    def upper(self, lowered, below):
        return super().upper({"bytes": torch.zeros(1, 20, dtype=torch.int32), **lowered}, below)


class ReadsNothing(Letters):
    def forward(self, prepared):
        return self.out(self.table(torch.zeros_like(prepared["bytes"])).mean(dim=1))


def contract_of(kind):
    class Contract(ModalityEncoderContract):
        def make(self):
            return kind()

        def items(self):
            return [Item("a", text="red shoes"), Item("b", text="a blue hat"), Item("c", text="socks")]

    return Contract()


CHECKS = [name for name in dir(ModalityEncoderContract) if name.startswith("test_")]


@pytest.mark.parametrize("check", CHECKS)
def test_an_encoder_that_holds_to_the_contract_passes(check):
    getattr(contract_of(Letters), check)()


@pytest.mark.parametrize(
    ("kind", "check", "complaint"),
    [
        (DependsOnTheBatch, "test_a_vector_does_not_depend_on_the_other_items", "depends on the others"),
        (PadsToTheBatch, "test_prepared_content_has_one_entry_an_item", "depends on the other items"),
        (DropsAlways, "test_encoding_is_deterministic_in_evaluation", "two passes"),
        (SwallowsBadContent, "test_bad_content_is_an_error_that_names_the_item", "without a DataError"),
        (BlamesNobody, "test_bad_content_is_an_error_that_names_the_item", "does not name"),
        (HasAnIdleParameter, "test_every_parameter_gets_a_gradient", r"idle\.weight"),
        (ForgetsItsWeights, "test_saving_and_loading_gives_the_same_vectors", "other vectors"),
        (TurnsItsBlocks, "test_blocks_are_submodules_in_order", "not in the order"),
        (LendsABlock, "test_blocks_are_submodules_in_order", "not a part"),
        (CountsItsUse, "test_preparation_key_is_stable", "changed when the encoder was used"),
        (Pickles, "test_assets_hold_no_pickle", "is a pickle"),
        (SavesWithTorch, "test_assets_hold_no_pickle", "is an archive"),
        (WidensSilently, "test_vectors_have_the_declared_shape", "float64"),
        (WritesIntoContent, "test_forward_leaves_what_was_prepared_alone", "changed bytes"),
        (FrozenYetDropping, "test_frozen_parts_stay_in_evaluation_mode", "otherwise in training"),
        (CutsWrongly, "test_two_halves_make_the_whole", "cut before block 1, it makes other vectors"),
        (ReadsNothing, "test_vectors_differ_where_the_content_does", "the same vector"),
    ],
)
def test_an_encoder_that_breaks_the_contract_is_found_out(kind, check, complaint):
    with pytest.raises(AssertionError, match=complaint):
        getattr(contract_of(kind), check)()
