"""Grad-CAM against closed forms, receptive fields and known evidence."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from amc_core.errors import AmcError
from amc_core.models import MODELS, build_model
from amc_core.saliency import _Watch, grad_cam, saliency, transitions

CONVOLUTIONAL = [name for name, spec in MODELS.items() if spec.feature_maps]


def built(name: str, classes: int = 4, length: int = 512, **hyperparameters) -> nn.Module:
    torch.manual_seed(0)
    return build_model(name, classes, length, **hyperparameters)


# Their convolutions feed recurrent layers or attention, or lie side by side with other strides and paddings.
WITHOUT = {"mcldnn", "pet_cgdnn", "iqformer", "amc_net", "mcformer", "cldnn", "cldnn2", "scrnn", "cgdnet"}
WITHOUT |= {"xcit1d_nano", "mcnet", "ic_amcnet", "densenet_liu"}


def test_every_network_of_convolutions_has_feature_maps_and_no_other():
    for name in MODELS:
        convolutional = any(isinstance(layer, nn.Conv1d | nn.Conv2d) for layer in built(name, length=128).modules())
        assert bool(MODELS[name].feature_maps) == (convolutional and name not in WITHOUT)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
@pytest.mark.parametrize(("length", "layer"), [(128, -1), (333, -1), (333, 0)])
def test_importance_is_from_0_to_1_and_reaches_1_unless_nothing_speaks_for_the_class(name, length, layer):
    importance = saliency(built(name, length=length), torch.randn(5, 2, length), layer=layer)
    assert importance.shape == (5, length) and importance.dtype == torch.float32
    assert ((importance >= 0) & (importance <= 1)).all()
    assert set(importance.amax(1).tolist()) <= {0.0, 1.0} and importance.any()


def test_with_global_averaging_and_one_dense_layer_grad_cam_is_the_class_activation_map():
    # y = Σ_k w_k mean_p A[k, p], so that the evidence at p is Σ_k w_k A[k, p] / positions (Zhou et al. 2016).
    torch.manual_seed(0)
    convolution, dense = nn.Conv1d(2, 8, 5, padding=2), nn.Linear(8, 3)
    feature_map = convolution(torch.randn(4, 2, 60)).relu()
    score = dense(feature_map.mean(-1))[:, 1].sum()
    expected = torch.einsum("k,bkp->bp", dense.weight[1], feature_map) / 60
    torch.testing.assert_close(grad_cam(score, feature_map), expected)


def test_mod_lcnn_whose_head_is_linear_has_the_class_activation_map_as_its_saliency():
    # Large biases keep the head's ReLU open, so that the logits are linear in the averaged feature map.
    model, x = built("mod_lcnn", length=128).eval(), torch.randn(3, 2, 128)
    model.head[0].bias.data.fill_(100)
    feature_map = model.features(x)
    weights = model.head[3].weight @ model.head[0].weight
    for label in range(4):
        activation = torch.einsum("k,bkp->bp", weights[label], feature_map).relu()
        expected = (activation / activation.amax(1, keepdim=True)).nan_to_num()
        torch.testing.assert_close(saliency(model, x, [label] * 3), expected)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
@pytest.mark.parametrize("length", [512, 135])
@pytest.mark.parametrize("layer", [0, 1, -1])
def test_positions_of_a_feature_map_are_the_centres_of_their_receptive_fields(name, length, layer, monkeypatch):
    # Equal positive weights and averages instead of maxima make a network linear and its fields symmetric, so
    # that the centre of gravity of a field is its centre.
    monkeypatch.setattr(functional, "max_pool1d", lambda x, size, *_, **__: functional.avg_pool1d(x, size))
    monkeypatch.setattr(functional, "max_pool2d", lambda x, size, *_, **__: functional.avg_pool2d(x, size))
    model = built(name, length=length, **({"localizer_constant": "identity"} if name == "stn_resnext" else {})).eval()
    for part in model.modules():
        if isinstance(part, nn.Conv1d | nn.Conv2d):
            nn.init.constant_(part.weight, 1 / part.weight[0].numel())
            nn.init.zeros_(part.bias)
    if name == "stn_resnext":
        nn.init.zeros_(model.localizer.dense[-1].weight)
    x = torch.ones(1, 2, length, requires_grad=True)
    with _Watch(model, MODELS[name].feature_maps, layer) as watch:
        watch.grids[length] = (0.0, 1.0)
        model(x)
    for feature_map in watch.maps.values():
        positions = max(feature_map.shape[2:])
        by_position = feature_map.movedim(feature_map.shape.index(positions, 2), 0)
        first, step = watch.grids[positions]
        checked = 0
        for position in range(0, positions, max(1, positions // 9)):
            [field] = torch.autograd.grad(by_position[position].sum(), x, retain_graph=True)
            field = field[0].abs().sum(0).double()
            reached = field.nonzero()[:, 0]
            if reached[0] > 0 and reached[-1] < length - 1:  # not cut off by the instance's ends
                centre = (field * torch.arange(length)).sum() / field.sum()
                assert abs(centre - (first + step * position)) < 1e-3
                checked += 1
        # The widest fields cover the whole instance: then the middle position must look at the middle, roughly.
        middle = first + step * (positions - 1) / 2
        assert checked or abs(middle - (length - 1) / 2) <= step


@pytest.mark.parametrize(
    ("name", "length", "width"), [("mod_lcnn", 256, 32), ("classnet", 512, 64), ("cnn1d", 1024, 128)]
)
def test_evidence_in_a_window_is_found_in_that_window(name, length, width):
    # Class 1 is whatever holds a burst anywhere: a short training suffices to find it.
    model = built(name, classes=2, length=length)
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)

    def draw(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x, labels = 0.1 * torch.randn(count, 2, length), torch.arange(count) % 2
        starts = torch.randint(0, length - width, (count,))
        inside = (torch.arange(length) >= starts[:, None]) & (torch.arange(length) < starts[:, None] + width)
        return x + 2 * torch.randn(count, 2, length) * (inside & (labels == 1)[:, None])[:, None], labels, inside

    for _ in range(40):
        x, labels, _ = draw(32)
        optimiser.zero_grad()
        functional.cross_entropy(model(x), labels).backward()
        optimiser.step()
    x, labels, inside = draw(64)
    assert (model.eval()(x).argmax(1) == labels).float().mean() > 0.95
    importance = saliency(model, x[labels == 1], torch.ones(32, dtype=torch.int64))
    inside = inside[labels == 1]
    density = (importance * inside).sum() / inside.sum() / importance.mean()
    assert density > 2  # spread evenly it would be 1


def test_the_transformed_branch_gives_its_importance_to_the_samples_it_read():
    # With 0.7 t + 0.8 for t the second ClassNet sees what lies right of sample 0.55 N, and nothing else.
    model = built("stn_resnext").eval()
    nn.init.zeros_(model.localizer.dense[-1].weight)
    model.head[0].weight.data[:, :32] = 0  # of the other ClassNet
    model.head[0].bias.data.fill_(100)  # so that the head is linear
    importance = saliency(model, torch.randn(6, 2, 512), [0, 1, 2, 3, 0, 1])
    start = 1.1 * 511 / 2
    assert not importance[:, : int(start) - 1].any() and importance[:, int(start) + 1 :].any()
    # Mirrored in time, what was read first is what is read last.
    model.localizer.constant.copy_(torch.tensor([-1.0, 0, 0, 0, 1, 0]))
    x = torch.randn(3, 2, 512)
    mirrored = saliency(model, x, [0, 1, 2])
    model.localizer.constant.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0]))
    torch.testing.assert_close(mirrored, saliency(model, x.flip(-1), [0, 1, 2]).flip(-1), rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["stn_resnext", "resnet"])
def test_the_model_is_left_as_it_was(name):
    model, x = built(name, length=128), torch.randn(2, 2, 128)
    model.train()
    model.head.eval()
    model.head[0].weight.requires_grad_(False)
    model(x).sum().backward()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    gradients = [None if weight.grad is None else weight.grad.clone() for weight in model.parameters()]
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    saliency(model, x)
    with pytest.raises(AmcError):
        saliency(model, x, [0, 9])
    assert torch.equal(torch.get_rng_state(), state) and not x.requires_grad
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
    for weight, gradient in zip(model.parameters(), gradients, strict=True):
        assert (weight.grad is None and gradient is None) or torch.equal(weight.grad, gradient)


def test_it_works_in_inference_mode_with_frozen_weights_and_for_each_instance_by_itself():
    model, x = built("classnet", length=128).requires_grad_(False), torch.randn(4, 2, 128)
    together = saliency(model, x, torch.tensor([0, 1, 2, 3]))
    with torch.inference_mode():
        alone = torch.cat([saliency(model, x[i : i + 1].clone(), [i]) for i in range(4)])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-4)


def test_without_classes_it_is_the_recognised_class():
    model, x = built("cnn1d").eval(), torch.randn(6, 2, 512)
    torch.testing.assert_close(saliency(model, x), saliency(model, x, model(x).argmax(1)))


def test_a_transition_needs_both_of_its_samples_to_be_above_the_threshold():
    importance = torch.tensor([[0.9, 0.81, 0.8, 0.9, 1.0], [0, 0.5, 0.7, 0.7, 0.9]])
    assert transitions(importance).tolist() == [[True, False, False, True], [False] * 4]
    assert transitions(importance, 0.6)[1].tolist() == [False, False, True, True]


@pytest.mark.parametrize("name", ["hoc_svm", "lstm"])
def test_networks_without_convolutions_are_refused_with_what_is_allowed(name):
    with pytest.raises(AmcError, match=rf"{name}: it needs .* allowed are cnn1d, .*mod_lrcnn, resnet_liu"):
        saliency(built(name), torch.randn(1, 2, 512))


def test_other_shapes_and_classes_are_refused_in_a_sentence():
    model = built("mod_lcnn", length=128)
    with pytest.raises(AmcError, match=r"\[batch, 2, length\]"):
        saliency(model, torch.randn(2, 128))
    for classes in ([0], [0, 4], [0.0, 1.0], [-1, 0]):
        with pytest.raises(AmcError, match="2 integers from 0 to 3"):
            saliency(model, torch.randn(2, 2, 128), classes)
    for layer in (4, -5):
        with pytest.raises(AmcError, match=f"layer {layer} .* layers 0 to 3"):
            saliency(model, torch.randn(1, 2, 128), layer=layer)
    with pytest.raises(AmcError, match="Sequential"):
        saliency(nn.Sequential(nn.Conv1d(2, 2, 3)), torch.randn(2, 2, 128))
