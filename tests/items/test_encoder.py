import copy

import pytest
import torch
from torch import nn

from transrec.data.batches import ItemPart
from transrec.errors import ModelError
from transrec.items.features import FeatureEncoder
from transrec.items.image import ImageEncoder, ImageSettings
from transrec.items.text import TextEncoder, TextSettings


def test_frozen_layers_stay_in_evaluation_and_learning_ones_do_not(text_family, tokenizer):
    encoder = TextEncoder(text_family("bert"), tokenizer, TextSettings(max_length=16, pooling="attention"))
    for parameter in [*encoder.backbone.embeddings.parameters(), *encoder.blocks()[0].parameters()]:
        parameter.requires_grad_(requires_grad=False)
    encoder.train()
    frozen, learning = encoder.blocks()[0], encoder.blocks()[1]
    assert not any(module.training for module in [*encoder.backbone.embeddings.modules(), *frozen.modules()])
    assert all(module.training for module in [*learning.modules(), *encoder.pooling.modules()])
    assert not any(module.training for module in encoder.eval().modules())


def test_batch_norm_never_moves(image_family, processor, image_items):
    encoder = ImageEncoder(image_family("resnet"), processor, ImageSettings()).train()
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [norm.running_mean.clone() for norm in norms]
    encoder(encoder.prepare(image_items)).sum().backward()
    assert norms
    assert all(torch.equal(norm.running_mean, mean) for norm, mean in zip(norms, before, strict=True))
    assert all(norm.weight.grad is not None for norm in norms)


@pytest.mark.parametrize("options", [{}, {"side": "3"}])
def test_building_from_options_is_up_to_the_encoder(options):
    with pytest.raises(ModelError, match="FeatureEncoder cannot be built from settings") as caught:
        FeatureEncoder.from_options(options)
    assert "from_options" in str(caught.value)
    assert all(name in str(caught.value) for name in options)


@pytest.mark.parametrize("below", [0, 1])
def test_equal_content_is_encoded_once(below, image_family, processor, image_items):
    encoder = ImageEncoder(image_family("vit"), processor, ImageSettings()).eval()
    prepared = encoder.prepare(image_items[:2])
    content = encoder.lower(prepared, below) if below else prepared
    seen = []
    encoder.blocks()[2].register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    index_n, inverse_n = torch.tensor([0, 1, 3, 4]), torch.tensor([1, 0, 1, 1])
    vectors = encoder.encode(ItemPart(index_n, content, below, inverse_n))
    assert seen == [2]
    torch.testing.assert_close(vectors, encoder(prepared)[inverse_n], atol=1e-6, rtol=0.0)
    stored = ItemPart(index_n, encoder(prepared), inverse_n=inverse_n)
    assert torch.equal(encoder.encode(stored), encoder(prepared)[inverse_n])
    assert encoder.encode(stored.to(torch.device("cpu"))).shape == (4, encoder.width)


def test_a_copied_encoder_cuts_its_own_blocks(image_family, processor, image_items):
    encoder = ImageEncoder(image_family("vit"), processor, ImageSettings()).eval()
    prepared = encoder.prepare(image_items)
    lowered = encoder.lower(prepared, 1)
    twin = copy.deepcopy(encoder)
    with torch.no_grad():
        for block in twin.blocks()[1:]:
            for parameter in block.parameters():
                parameter.mul_(1.5)
    assert torch.equal(encoder.upper(lowered, 1), encoder(prepared))
    torch.testing.assert_close(twin.upper(lowered, 1), twin(prepared), atol=1e-6, rtol=0.0)
    assert not torch.allclose(twin(prepared), encoder(prepared))
