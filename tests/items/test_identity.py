import pytest
import torch

from transrec.data.catalog import Item
from transrec.errors import DataError
from transrec.items.identity import IdentityEncoder
from transrec.testing import ModalityEncoderContract

IDS = ["b", "a", "\N{SNOWMAN}", "d"]


def test_reads_known_ids_only():
    encoder = IdentityEncoder(IDS, 8)
    assert encoder.reads(Item("a", text="x"))
    assert not encoder.reads(Item("new", text="x"))
    with pytest.raises(DataError, match="'new' is not among the 4"):
        encoder.prepare([Item("new", text="x")])


def test_rows_follow_the_ids():
    encoder = IdentityEncoder(IDS, 8)
    found = encoder(encoder.prepare([Item("\N{SNOWMAN}", text="x"), Item("b", text="x")]))
    assert torch.equal(found, encoder.table.weight[[2, 0]])


def test_the_table_starts_small():
    weights = IdentityEncoder([str(n) for n in range(2000)], 32).table.weight
    assert weights.std().item() == pytest.approx(0.02, rel=0.05)


def test_the_key_follows_the_ids():
    assert IdentityEncoder(IDS, 8).preparation_key() == IdentityEncoder(IDS, 16).preparation_key()
    assert IdentityEncoder(IDS, 8).preparation_key() != IdentityEncoder(IDS[::-1], 8).preparation_key()


class TestIdentityEncoder(ModalityEncoderContract):
    def make(self):
        return IdentityEncoder(IDS, 8)

    def items(self):
        return [Item(item_id, text="x") for item_id in IDS]
