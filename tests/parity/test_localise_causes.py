"""Causes: each line of the catalogue is planted, proposed, applied, and believed only when the layer then agrees."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.parity.localise_goldens import Golden, causes, localised


@pytest.fixture(autouse=True)
def seeded():
    """The same numbers in every run, and one thread: the models are tiny."""
    threads = torch.get_num_threads()
    torch.manual_seed(1)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Layer(nn.Module):
    """A model of one layer, computed by `function(module, x)`."""

    def __init__(self, function, **tensors):
        super().__init__()
        self.layer = nn.Module()
        for name, tensor in tensors.items():
            self.layer.register_buffer(name, tensor)
        self.layer.forward = lambda x: function(self.layer, x)

    def forward(self, x):
        return self.layer(x)


def tried(kind, right, wrong, x, config=None, **tensors):
    """What is said of `wrong` beside a reference that computes `right`, as one layer of a kind."""
    golden = Golden()
    golden.input(x)
    healthy = Layer(right, **tensors)
    with torch.no_grad():
        golden.output(golden.layer("layer", kind, x, healthy(x).clone(), **(config or {})))
    assert localised(golden, healthy, x).first is None
    found = localised(golden, Layer(wrong, **tensors), x)
    assert found.first["layer"] == "layer"
    return causes(found)


def images(*shape):
    return torch.randn(*(shape or (2, 4, 7, 9)))


NORM = dict(m=torch.randn(4), v=torch.rand(4) * 0.1, g=torch.rand(4) + 0.5, b=torch.randn(4))
KERNEL = dict(w=torch.randn(4, 4, 3, 3), b=torch.randn(4))
ROWS = dict(w=torch.randn(6, 6), b=torch.randn(6))


def norm(eps=1e-3, training=False):
    return lambda s, x: F.batch_norm(x, s.m, s.v, s.g, s.b, training, 0.0, eps)


CASES = {
    "epsilon": (
        "BatchNormalization", norm(), norm(1e-5), images, NORM, {"epsilon": 1e-3},
        ("epsilon", "with eps=0.001 it agrees (the candidate has 1e-05)"),
    ),
    "epsilon unknown to the configuration": (
        "LayerNormalization", lambda s, x: F.layer_norm(x, (9,), eps=1e-6), lambda s, x: F.layer_norm(x, (9,), eps=0.1),
        images, {}, {}, ("epsilon", "with eps=1e-06 it agrees (the candidate has 0.1)"),
    ),
    "epsilon in a formula": (
        "RMSNormalization", lambda s, x: x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-2),
        lambda s, x: x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-5), images, {}, {"epsilon": 1e-2},
        ("epsilon", "with eps=0.01 it agrees (the candidate has 1e-05)"),
    ),
    "train mode": (
        "BatchNormalization", norm(), norm(training=True), images, NORM, {},
        ("train/eval mode", "with eval mode it agrees (the candidate has training mode)"),
    ),
    "mean and variance": (
        "BatchNormalization", norm(), lambda s, x: F.batch_norm(x, s.v, s.m.abs(), s.g, s.b, eps=1e-3), images,
        {**NORM, "m": torch.rand(4) + 0.1}, {}, ("statistics swapped", "with mean and variance exchanged it agrees"),
    ),
    "gamma and beta": (
        "BatchNormalization", norm(), lambda s, x: F.batch_norm(x, s.m, s.v, s.b, s.g, eps=1e-3), images, NORM, {},
        ("statistics swapped", "with gamma and beta exchanged it agrees"),
    ),
    "biased variance": (
        "LayerNormalization", lambda s, x: (x - x.mean(-1, keepdim=True)) / x.var(-1, unbiased=False, keepdim=True).sqrt(),
        lambda s, x: (x - x.mean(-1, keepdim=True)) / x.var(-1, keepdim=True).sqrt(), images, {}, {},
        ("biased variance", "with the biased variance it agrees"),
    ),
    "axis of a layer normalisation": (
        "LayerNormalization", lambda s, x: F.layer_norm(x.transpose(1, -1), (4,), s.g).transpose(1, -1),
        lambda s, x: F.layer_norm(x, (4,), s.g), lambda: images(2, 4, 5, 4), {"g": torch.rand(4)}, {},
        ("axis", "with axis 1 normalised it agrees"),
    ),
    "same padding": (
        "Conv2D", lambda s, x: F.conv2d(F.pad(x, (1, 1, 0, 1)), s.w, s.b, 2)[..., :4],
        lambda s, x: F.conv2d(x, s.w, s.b, 2, 1)[..., :4], lambda: images(2, 4, 8, 7), KERNEL,
        {"padding": "same", "strides": [2, 2]}, ("padding side", "with SAME padding it agrees"),
    ),
    "padding on the other side": (
        "Conv2D", lambda s, x: F.conv2d(F.pad(x, (0, 1, 0, 1)), s.w, s.b, 2),
        lambda s, x: F.conv2d(F.pad(x, (1, 0, 1, 0)), s.w, s.b, 2), lambda: images(2, 4, 8, 8), KERNEL,
        {"padding": "same", "strides": [2, 2]}, ("padding side", "with SAME padding it agrees"),
    ),
    "a pool over zeros": (
        "MaxPooling2D", lambda s, x: F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=float("-inf")), 3, 2),
        lambda s, x: F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 3, 2), lambda: -images(2, 4, 8, 8).abs(), {}, {},
        ("padding value", "with a border of -inf it agrees (the candidate has 0)"),
    ),
    "a border of another value": (
        "Lambda", lambda s, x: F.pad(x, (1, 1, 1, 1), value=0.0).cumsum(-1), lambda s, x: F.pad(x, (1, 1, 1, 1), mode="reflect").cumsum(-1),
        images, {}, {}, ("padding value", "with constant padding it agrees"),
    ),
    "a mean over padding": (
        "AveragePooling2D", lambda s, x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        lambda s, x: F.avg_pool2d(x, 3, 2, 1), lambda: images(2, 4, 8, 8), {}, {},
        ("average pool counts padding", "with the padding left out of the mean it agrees"),
    ),
    "a transposed convolution cut elsewhere": (
        "Conv2DTranspose", lambda s, x: F.conv_transpose2d(x, s.w, s.b, 2)[..., :16, :16],
        lambda s, x: F.conv_transpose2d(x, s.w, s.b, 2)[..., 1:17, 1:17], lambda: images(2, 4, 8, 8), KERNEL, {},
        ("padding side", "with a cut moved by -1 it agrees"),
    ),
    "a transposed convolution padded": (
        "Conv2DTranspose", lambda s, x: F.conv_transpose2d(x, s.w, s.b, 2)[..., :16, :16],
        lambda s, x: F.conv_transpose2d(x, s.w, s.b, 2, 1, 1), lambda: images(2, 4, 8, 8), KERNEL, {"padding": "same"},
        ("padding side", "with SAME padding it agrees"),
    ),
    "a square matrix transposed": (
        "Dense", lambda s, x: F.linear(x, s.w, s.b), lambda s, x: F.linear(x, s.w.mT, s.b), lambda: torch.randn(5, 6),
        ROWS, {}, ("transposed square kernel", "with w transposed it agrees"),
    ),
    "height and width of a kernel exchanged": (
        "Conv2D", lambda s, x: F.conv2d(x, s.w, s.b), lambda s, x: F.conv2d(x, s.w.mT, s.b), images, KERNEL,
        {}, ("transposed square kernel", "with axes 2 and 3 of w exchanged it agrees"),
    ),
    "a kernel flipped": (
        "Conv2D", lambda s, x: F.conv2d(x, s.w), lambda s, x: F.conv2d(x, s.w.flip(2, 3)), images, KERNEL, {},
        ("flipped kernel", "with w flipped in space it agrees"),
    ),
    "depthwise multiplier": (
        "DepthwiseConv2D", lambda s, x: F.conv2d(x, s.w, groups=4),
        lambda s, x: F.conv2d(x, s.w.unflatten(0, (4, 2)).transpose(0, 1).flatten(0, 1), groups=4), images,
        {"w": torch.randn(8, 1, 3, 3)}, {"depth_multiplier": 2}, ("depthwise order", "with the outputs of"),
    ),
    "softmax over another axis": (
        "Softmax", lambda s, x: torch.softmax(x, -1), lambda s, x: torch.softmax(x, 1), lambda: torch.randn(2, 5, 6), {},
        {}, ("softmax axis", "with dim=2 it agrees (the candidate has dim=1)"),
    ),
    "another slope": (
        "LeakyReLU", lambda s, x: F.leaky_relu(x, 0.3), lambda s, x: F.leaky_relu(x), images, {}, {"negative_slope": 0.3},
        ("slope", "with negative_slope=0.3 it agrees (the candidate has 0.01)"),
    ),
    "approximate gelu": (
        "Activation", lambda s, x: F.gelu(x), lambda s, x: F.gelu(x, approximate="tanh"), images, {}, {},
        ("approximate gelu", "with approximate='none' it agrees (the candidate has 'tanh')"),
    ),
    "another activation": (
        "Activation", lambda s, x: F.softplus(x), lambda s, x: torch.tanh(x), images, {}, {},
        ("activation", "with softplus it agrees (the candidate has tanh)"),
    ),
    "hard sigmoid": (
        "Activation", lambda s, x: torch.clamp(0.2 * x + 0.5, 0, 1), lambda s, x: F.hardsigmoid(x), images, {}, {},
        ("activation", "with hard_sigmoid of Keras 2 it agrees (the candidate has hardsigmoid)"),
    ),
    "bilinear for nearest": (
        "UpSampling2D", lambda s, x: F.interpolate(x, scale_factor=2.0, mode="nearest"),
        lambda s, x: F.interpolate(x, scale_factor=2.0, mode="bilinear"), images, {}, {"interpolation": "nearest"},
        ("interpolation", "with mode='nearest' it agrees (the candidate has 'bilinear', align_corners=None)"),
    ),
    "corners aligned": (
        "UpSampling2D", lambda s, x: F.interpolate(x, scale_factor=2.0, mode="bilinear"),
        lambda s, x: F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True), images, {}, {},
        ("interpolation", "with mode='bilinear', align_corners=False it agrees"),
    ),
    "dilation": (
        "Conv2D", lambda s, x: F.conv2d(x, s.w, padding=2, dilation=2), lambda s, x: F.conv2d(x, s.w, padding=1), images,
        KERNEL, {"dilation_rate": [2, 2], "padding": "same"},
        ("dilation", "with dilation=(2, 2) and SAME padding it agrees (the candidate has 1)"),
    ),
    "scale of attention": (
        "Attention", lambda s, x: torch.softmax(x @ x.transpose(1, 2) / math.sqrt(2), -1) @ x,
        lambda s, x: torch.softmax(x @ x.transpose(1, 2) / math.sqrt(8), -1) @ x, lambda: torch.randn(2, 5, 8), {},
        {"key_dim": 2}, ("scale of attention", "with 1/sqrt(2) it agrees"),
    ),
    "scale of attention left out": (
        "Attention", lambda s, x: torch.softmax(x @ x.transpose(1, 2) / math.sqrt(2), -1) @ x,
        lambda s, x: torch.softmax(x @ x.transpose(1, 2), -1) @ x, lambda: torch.randn(2, 5, 8), {},
        {"key_dim": 2}, ("scale of attention", "with 1/sqrt(2) on the scores it agrees"),
    ),
    "causal mask left out": (
        "Attention", lambda s, x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
        lambda s, x: F.scaled_dot_product_attention(x, x, x), lambda: torch.randn(2, 5, 8), {}, {},
        ("attention mask", "with is_causal=True it agrees"),
    ),
    "mask inverted": (
        "Attention", lambda s, x: x.masked_fill(s.mask, 0.0).cumsum(-1), lambda s, x: x.masked_fill(~s.mask, 0.0).cumsum(-1),
        lambda: torch.randn(2, 5), {"mask": torch.tensor([True, False, True, False, False])}, {},
        ("attention mask", "with the mask inverted it agrees"),
    ),
    "parts joined in another order": (
        "Concatenate", lambda s, x: torch.cat([x, x + 1, x * 2], 1), lambda s, x: torch.cat([x * 2, x, x + 1], 1),
        images, {}, {}, ("order of concatenation", "with order (1, 2, 0) it agrees"),
    ),
    "another axis reduced": (
        "GlobalMaxPooling1D", lambda s, x: x.amax(1), lambda s, x: x.amax(2), lambda: torch.randn(2, 5, 5), {}, {},
        ("axis", "with dim=1 it agrees (the candidate has dim=2)"),
    ),
    "depth to space": (
        "Lambda", lambda s, x: x.reshape(2, 2, 2, 2, 3, 3).permute(0, 3, 4, 1, 5, 2).reshape(2, 2, 6, 6),
        lambda s, x: F.pixel_shuffle(x, 2), lambda: images(2, 8, 3, 3), {}, {},
        ("order of pixels", "with depth_to_space's order of channels it agrees"),
    ),
    "ids one too large": (
        "Embedding", lambda s, x: F.embedding(x, s.w), lambda s, x: F.embedding((x + 1).clamp(max=9), s.w),
        lambda: torch.randint(1, 9, (3, 4)), {"w": torch.randn(10, 4)}, {}, ("index shift", "with ids -1 it agrees"),
    ),
    "a factor": (
        "Lambda", lambda s, x: x @ s.w * math.sqrt(6), lambda s, x: x @ s.w, lambda: torch.randn(5, 6), ROWS, {},
        ("scale", "with a factor of 2.44949 it agrees"),
    ),
    "a bias left out": (
        "Conv2D", lambda s, x: F.conv2d(x, s.w, s.b), lambda s, x: F.conv2d(x, s.w), images, KERNEL, {},
        ("bias", "with an addend for each channel (axis 1): a bias it agrees"),
    ),
    "a bias too many": (
        "Dense", lambda s, x: F.linear(x, s.w), lambda s, x: F.linear(x, s.w, s.b), lambda: torch.randn(30, 6), ROWS,
        {"use_bias": False}, ("bias", "with no bias it agrees"),
    ),
    "half precision": (
        "Dense", lambda s, x: F.linear(x, s.w), lambda s, x: F.linear(x, s.w).half().float(), lambda: torch.randn(5, 6),
        ROWS, {}, ("precision", "with no change of precision it agrees"),
    ),
    "a step too much": (
        "Lambda", lambda s, x: x @ s.w, lambda s, x: torch.round(x @ s.w, decimals=2), lambda: torch.randn(5, 6), ROWS, {},
        ("extra step", "with no round it agrees"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_planted_cause_is_found_by_applying_it(name):
    kind, right, wrong, x, tensors, config, expected = CASES[name]
    found = tried(kind, right, wrong, x(), config, **tensors)
    assert len(found) == 1 and found[0][0] == expected[0], found
    assert found[0][1].startswith(expected[1]), found


def test_a_fault_outside_the_catalogue_gets_no_cause():
    found = tried(
        "Lambda",
        lambda s, x: x @ s.w,
        lambda s, x: torch.sin(1.3 * (x @ s.w) + 0.2),
        torch.randn(30, 6),
        **ROWS,
    )
    assert found == []


def test_what_was_tried_is_told():
    x = torch.randn(30, 6)
    golden = Golden()
    golden.input(x)
    golden.output(golden.layer("layer", "Dense", x, torch.randn(30, 6)))
    found = localised(golden, Layer(lambda s, x: F.linear(x, s.w), w=torch.randn(6, 6)), x)
    assert found.causes == [] and {"transposed square kernel", "bias", "scale"} <= set(found.first["tried"])


RNNS = {"LSTM": nn.LSTM, "GRU": nn.GRU, "SimpleRNN": nn.RNN}


class Recurrent(nn.Module):
    """An embedding of nothing, an RNN of torch, its last output."""

    def __init__(self, kind, **options):
        super().__init__()
        self.rnn = RNNS[kind](5, 5, batch_first=True, **options)
        self.take = lambda out: out[:, -1]

    def forward(self, x):
        return self.take(self.rnn(x)[0])


def recurrent(kind, change, config=None, right=None, **options):
    """What is said when `change` is made to a module whose reference is itself, or `right(module, x)`."""
    x = torch.randn(3, 6, 5)
    module = Recurrent(kind, **options)
    golden = Golden()
    golden.input(x)
    with torch.no_grad():
        out = module(x) if right is None else right(module, x)
        golden.output(golden.layer("rnn", kind, x, out.clone(), **(config or {})).clone())
        assert right is not None or localised(golden, module, x).first is None
        change(module)
    found = localised(golden, module, x)
    assert found.first["layer"] == "rnn"
    return causes(found)


def gates(name, order):
    def change(module):
        weight = getattr(module.rnn, name)
        parts = weight.chunk(len(order))
        weight.copy_(torch.cat([parts[i] for i in order]))

    return change


def all_gates(order):
    def change(module):
        for name, _ in list(module.rnn.named_parameters()):
            gates(name, order)(module)

    return change


@pytest.mark.parametrize(
    "kind, change, said",
    [
        (
            "LSTM",
            all_gates((0, 2, 1, 3)),
            "with the gates of all weights reordered (ifco read as icfo) it agrees",
        ),
        ("LSTM", all_gates((1, 2, 0, 3)), "with the gates of all weights reordered"),
        ("GRU", all_gates((1, 0, 2)), "with the gates of all weights reordered (zrh read as rzh) it agrees"),
        ("GRU", gates("weight_hh_l0", (1, 0, 2)), "with the gates of weight_hh_l0 reordered"),
    ],
)
def test_gate_order(kind, change, said):
    (found,) = recurrent(kind, change)
    assert found[0] == "gate order" and found[1].startswith(said)


def test_recurrent_kernels_transposed():
    def change(module):
        weight = module.rnn.weight_hh_l0
        weight.copy_(weight.unflatten(0, (4, 5)).transpose(1, 2).flatten(0, 1).clone())

    (found,) = recurrent("LSTM", change)
    assert found[0] == "transposed square kernel" and "weight_hh_l0 transposed gate by gate" in found[1]


def test_reset_after():
    from tfport.parity.localise.causes.recurrent import _gru
    from tfport.parity.localise.taps import Operation

    def before(module, x):
        told = []
        weights = list(module.rnn.parameters())
        operation = Operation(
            0, torch.gru, (x, x.new_zeros(1, 3, 5), weights, True, 1, 0.0, False, False, True), {}
        )
        told.append(_gru(operation, after=False)[0][:, -1])
        assert torch.allclose(_gru(operation, after=True)[0], module.rnn(x)[0], atol=1e-6)
        return told[0]

    found = recurrent("GRU", lambda module: None, {"reset_after": False}, before)
    assert found == [("reset_after", "with reset_after=False it agrees (the candidate has reset_after=True)")]


def test_activation_inside_the_steps():
    from tfport.parity.localise.causes.recurrent import _simple
    from tfport.parity.localise.taps import Operation

    def relu(module, x):
        weights = list(module.rnn.parameters())
        operation = Operation(
            0, torch.rnn_tanh, (x, x.new_zeros(1, 3, 5), weights, True, 1, 0.0, False, False, True), {}
        )
        assert torch.allclose(_simple(operation)[0], module.rnn(x)[0], atol=1e-6)
        return _simple(operation, outer=torch.relu)[0][:, -1]

    (found,) = recurrent("SimpleRNN", lambda module: None, {"activation": "relu"}, relu)
    assert found[0] == "activation" and found[1].startswith("with activation=relu")


def test_batch_and_time_exchanged():
    found = recurrent("LSTM", lambda module: setattr(module.rnn, "batch_first", False))
    assert ("batch_first", "with batch_first=True it agrees (the candidate has False)") in found


def test_the_first_output_for_the_last():
    found = recurrent("LSTM", lambda module: setattr(module, "take", lambda out: out[:, 0]))
    assert found == [("last output", "with the last step it agrees (the candidate has [:, 0])")]


@pytest.mark.parametrize("weights", [True, False])
def test_flatten_order(weights):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.dense, self.rows = nn.Conv2d(3, 4, 3), nn.Linear(4 * 3 * 5, 4), True

        def forward(self, x):
            x = self.conv(x)
            return self.dense((x.permute(0, 2, 3, 1) if self.rows else x).flatten(1))

    module, x = Net(), torch.randn(2, 3, 5, 7)
    golden = Golden()
    golden.input(x)
    with torch.no_grad():
        y = golden.layer("conv", "Conv2D", x, module.conv(x))
        flat = golden.layer("flat", "Flatten", y, y.permute(0, 2, 3, 1).flatten(1))
        golden.output(golden.layer("dense", "Dense", flat, module.dense(flat)))
        assert localised(golden, module, x).first is None
        if weights:
            weight = module.dense.weight
            weight.copy_(weight.unflatten(1, (3, 5, 4)).permute(0, 3, 1, 2).flatten(1).clone())
        else:
            module.rows = False
    found = localised(golden, module, x)
    assert found.first["layer"] == "dense" and found.first["between"] == ["flat", "dense"]
    assert [c["cause"] for c in found.causes] == ["flatten order"]


def test_weights_of_another_layer():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.two(torch.relu(self.one(x)))

    module, x = Net(), torch.randn(3, 4)
    golden = Golden()
    golden.input(x)
    with torch.no_grad():
        before = module.one(x)
        y = golden.layer("one", "Dense", x, torch.relu(before), before, "relu")
        golden.output(golden.layer("two", "Dense", y, module.two(y)))
        state = {name: value.clone() for name, value in module.state_dict().items()}
        for name, value in module.named_parameters():
            value.copy_(state[name.replace("one", "three").replace("two", "one").replace("three", "two")])
    found = localised(golden, module, x)
    assert [c["said"] for c in found.causes] == [
        "with the weights of two it agrees (the candidate has those of another layer)",
        "with the weights of one it agrees (the candidate has those of another layer)",
    ]
