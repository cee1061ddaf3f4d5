"""Localising: pairing layers with modules, comparing them in one pass, naming the first fault on equal inputs."""

import gc
import weakref

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.parity.localise_goldens import Golden, causes, localised, statuses


@pytest.fixture(autouse=True)
def seeded():
    """The same numbers in every run, and one thread: the models are tiny."""
    threads = torch.get_num_threads()
    torch.manual_seed(1)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Net(nn.Module):
    """Convolution, normalisation, a pool, a residual sum, a head: the candidate; `record` makes its golden."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(6, eps=1e-3)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Linear(6 * 4 * 5, 7)
        self.bn1.running_var.uniform_(0.01, 0.1)
        self.bn1.running_mean.normal_()

    def forward(self, x):
        x = self.bn1(F.relu(self.conv1(x)))
        x = F.max_pool2d(x, 2)
        x = x + F.relu(self.conv2(x))
        return torch.softmax(self.head(x.permute(0, 2, 3, 1).flatten(1)), 1)

    @torch.no_grad()
    def record(self, x):
        g = Golden()
        g.input(x)
        before = self.conv1(x)
        a = g.layer("conv1", "Conv2D", x, F.relu(before), before, "relu", padding="same")
        b = g.layer("bn1", "BatchNormalization", a, self.bn1(a), epsilon=1e-3)
        p = g.layer("pool", "MaxPooling2D", b, F.max_pool2d(b, 2))
        before = self.conv2(p)
        c = g.layer("conv2", "Conv2D", p, F.relu(before), before, "relu")
        s = g.layer("sum", "Add", (p, c), p + c)
        f = g.layer("flat", "Flatten", s, s.permute(0, 2, 3, 1).flatten(1))
        before = self.head(f)
        g.output(g.layer("head", "Dense", f, torch.softmax(before, 1), before, "softmax"))
        return g


@pytest.fixture
def net():
    return Net().eval(), torch.randn(2, 3, 8, 10)


def faulty(net, **methods):
    """A copy of the net's class with other methods and the same weights."""
    made = type("Faulty", (Net,), methods)()
    made.load_state_dict(net.state_dict())
    return made.eval()


def test_a_healthy_candidate_agrees_layer_by_layer(net):
    module, x = net
    found = localised(module.record(x), module, x, always=True)
    assert statuses(found) == {
        "conv1": ("agrees", "name"), "bn1": ("agrees", "name"), "pool": ("agrees", "value"), "conv2": ("agrees", "name"),
        "sum": ("agrees", "value"), "flat": ("agrees", "value"), "head": ("agrees", "name"),
    }  # fmt: skip
    assert found.first is None and found.causes == []
    assert all(layer.max_abs <= layer.allowed and layer.reason == "" for layer in found.layers)


def test_the_record_goes_before_names_and_names_before_order(net):
    module, x = net
    golden = module.record(x)
    record = [
        {"name": "conv1", "path": "conv1"},
        {"name": "flat", "path": ""},
        {"name": "none", "path": "conv2"},
    ]
    found = localised(golden, module, x, record=record)
    assert statuses(found)["conv1"] == ("agrees", "record") and statuses(found)["bn1"] == ("agrees", "name")
    for layer in golden.layers:
        layer["name"] = f"layer_{golden.layers.index(layer)}"
    found = localised(golden, module, x)
    assert [layer.how for layer in found.layers] == [
        "order",
        "order",
        "value",
        "order",
        "value",
        "value",
        "order",
    ]
    assert all(layer.status == "agrees" for layer in found.layers)


def test_order_is_not_used_where_the_numbers_differ(net):
    module, x = net
    golden = module.record(x)
    for layer in golden.layers:
        layer["name"] = f"layer_{golden.layers.index(layer)}"
    module.spare = nn.Conv2d(1, 1, 1)
    found = localised(golden, module, x)
    assert [layer.how for layer in found.layers][:2] == ["value", "order"]


def test_the_record_finds_attributes_in_lists_and_inside_attention():
    from tfport.parity.localise.pairing import pair
    from tfport.parity.localise.reference import read_calls

    names = [
        ("block/dense", "Dense", "blocks/block/wide"), ("block_1/dense_1", "Dense", "blocks/block_1/wide"),
        ("block_1", "Block", "blocks/block_1"), ("block_1/mha", "MultiHeadAttention", "blocks/block_1/attention"),
        ("block_1/mha/query", "EinsumDense", None), ("gru", "GRU", "gru"), ("gru/gru_cell", "GRUCell", "gru/cell"),
    ]  # fmt: skip
    layers = [{"name": n, "class": k, "attribute": a, "tensors": []} for n, k, a in names]
    module = nn.Module()
    module.blocks = nn.ModuleList([nn.Module(), nn.Module()])
    module.gru = nn.GRU(2, 2)
    for block in module.blocks:
        block.wide, block.attention = nn.Linear(2, 2), nn.Module()
        block.attention.query = nn.Linear(2, 2)
    record = [
        {"name": None, "class": "Block", "path": f"blocks.{i}", "keras_path": f"blocks/{i}"} for i in (0, 1)
    ]
    for i in (0, 1):
        inner = {"wide": "wide", "attention": "attention", "attention/query_dense": "attention.query"}
        for key, path in inner.items():
            record.append(
                {
                    "name": None,
                    "class": "Dense",
                    "path": f"blocks.{i}.{path}",
                    "keras_path": f"blocks/{i}/{key}",
                }
            )
    record += [
        {"name": None, "class": k, "path": "gru", "keras_path": p}
        for k, p in (("GRU", "gru"), ("GRUCell", "gru/cell"))
    ]
    assert pair(read_calls(layers, {}).calls, module, record).paths == {
        "block/dense": ("blocks.0.wide", "record"), "block_1/dense_1": ("blocks.1.wide", "record"),
        "block_1": ("blocks.1", "record"), "block_1/mha": ("blocks.1.attention", "record"),
        "block_1/mha/query": ("blocks.1.attention.query", "record"), "gru": ("gru", "record"),
    }  # fmt: skip


def test_a_faulty_module_is_named_and_does_not_drown_the_rest(net):
    module, x = net
    golden = module.record(x)
    other = faulty(module)
    other.bn1.eps = 1e-5
    found = localised(golden, other, x)
    assert found.first["layer"] == "bn1" and found.first["kind"] == "BatchNormalization"
    assert found.first["module"] == "bn1" and "its inputs are equal" in found.first["reason"]
    assert causes(found) == [("epsilon", "with eps=0.001 it agrees (the candidate has 1e-05)")]
    assert statuses(found)["conv2"] == ("differs", "name")
    assert [layer.name for layer in found.forced if layer.status == "differs"] == ["bn1"]


def test_two_faults_are_both_found_and_the_first_is_the_first(net):
    module, x = net
    golden = module.record(x)
    other = faulty(module)
    other.bn1.eps = 1e-5
    with torch.no_grad():
        other.conv2.weight.copy_(other.conv2.weight.transpose(2, 3).clone())
    found = localised(golden, other, x)
    assert found.first["layer"] == "bn1"
    assert [cause["layer"] for cause in found.causes] == ["bn1", "conv2"]
    assert found.causes[1]["cause"] == "transposed square kernel"


@pytest.mark.parametrize(
    "old, new, layer, cause",
    [
        ("F.max_pool2d(x, 2)", "F.avg_pool2d(x, 2)", "pool", "kind of pooling"),
        ("self.bn1(F.relu(", "self.bn1(F.elu(", "conv1", "activation"),
        ("x + F.relu", "x * F.relu", "sum", "kind of merge"),
        ("F.relu(self.conv2(x))", "self.conv2(x)", "conv2", "activation"),
        (
            "x.permute(0, 2, 3, 1).flatten(1)), 1)",
            "x.permute(0, 2, 3, 1).flatten(1)), 0)",
            "head",
            "softmax axis",
        ),
    ],
)
def test_a_step_without_a_module_is_named(net, old, new, layer, cause):
    module, x = net
    golden = module.record(x)
    code = """
def forward(self, x):
    x = self.bn1(F.relu(self.conv1(x)))
    x = F.max_pool2d(x, 2)
    x = x + F.relu(self.conv2(x))
    return torch.softmax(self.head(x.permute(0, 2, 3, 1).flatten(1)), 1)
"""
    assert old in code
    names = {"F": F, "torch": torch}
    exec(code.replace(old, new), names)
    found = localised(golden, faulty(module, forward=names["forward"]), x)
    assert found.first["layer"] == layer and layer in found.first["between"]
    assert [c["cause"] for c in found.causes] == [cause]
    assert [layer.name for layer in found.forced if layer.status == "differs"] == []


def test_steps_after_the_last_layer_are_told_as_such(net):
    module, x = net
    other = faulty(module, forward=lambda self, x: Net.forward(self, x).flip(1))
    found = localised(module.record(x), other, x)
    assert (
        found.first["layer"] == "output" and "every layer that was compared agrees" in found.first["reason"]
    )
    assert causes(found) == [("extra step", "with no flip it agrees (the candidate has it)")]


def test_a_module_that_is_not_called_is_told(net):
    module, x = net

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = x + F.relu(self.conv2(x))
        return torch.softmax(self.head(x.permute(0, 2, 3, 1).flatten(1)), 1)

    found = localised(module.record(x), faulty(module, forward=forward), x)
    assert found.first["layer"] == "bn1" and "bn1 was not called" in found.first["reason"]
    assert found.first["between"] == ["bn1", "pool"]
    told = next(layer for layer in found.layers if layer.name == "bn1")
    assert (told.status, told.reason) == ("not compared", "its module bn1 was not called")


def test_what_no_step_gives_is_not_called_equal(net):
    module, x = net
    golden = module.record(x)
    golden.layer("extra", "Lambda", x, torch.randn(2, 9))
    found = localised(golden, module, x)
    last = found.layers[-1]
    assert (last.status, last.how) == ("not compared", None) and "no step gives its value" in last.reason


def test_a_layer_that_is_called_twice_is_compared_twice():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Linear(4, 4)

        def forward(self, x):
            return self.dense(torch.tanh(self.dense(x)))

    module, x = Twice(), torch.randn(3, 4)
    golden = Golden()
    golden.input(x)
    with torch.no_grad():
        one = golden.layer("dense", "Dense", x, module.dense(x))
        two = golden.layer("act", "Activation", one, torch.tanh(one))
        golden.output(golden.layer("dense", "Dense", two, module.dense(two)))
    found = localised(golden, module, x)
    assert [(layer.name, layer.status) for layer in found.layers] == [
        ("dense", "agrees"), ("act", "agrees"), ("dense (call 2)", "agrees"),
    ]  # fmt: skip
    module.forward = lambda x: module.dense(torch.sigmoid(module.dense(x)))
    found = localised(golden, module, x)
    assert found.first["layer"] == "act"


def test_nested_models_are_compared_inside_and_outside():
    class Inner(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 5), nn.Linear(5, 4)

        def forward(self, x):
            return self.b(torch.relu(self.a(x)))

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.head = Inner(), nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.inner(x) + x)

    module, x = Outer(), torch.randn(3, 4)
    golden = Golden()
    golden.input(x)
    with torch.no_grad():
        before = module.inner.a(x)
        a = golden.layer("inner/a", "Dense", x, torch.relu(before), before, "relu")
        b = golden.layer("inner/b", "Dense", a, module.inner.b(a))
        b = golden.layer("inner", "Functional", x, b.clone())
        s = golden.layer("add", "Add", (b, x), b + x)
        golden.output(golden.layer("head", "Dense", s, module.head(s)))
    found = localised(golden, module, x)
    assert set(statuses(found).values()) == {("agrees", "name"), ("agrees", "value")}
    module.inner.forward = lambda x: module.inner.b(torch.relu(module.inner.a(x))) * 1.01
    found = localised(golden, module, x)
    assert found.first["layer"] == "inner" and causes(found)[0][0] in ("scale", "extra step")


def test_a_layer_with_several_outputs_is_compared_whole():
    class Two(nn.Module):
        def forward(self, x):
            return {"plus": x + 1, "minus": x - 1}

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.two, self.head = Two(), nn.Linear(4, 2)

        def forward(self, x):
            both = self.two(x)
            return self.head(both["plus"] * both["minus"])

    module, x = Net(), torch.randn(3, 4)
    golden = Golden()
    golden.input(x)
    with torch.no_grad():
        one, two = golden.layer("two", "Two", x, (x + 1, x - 1))
        product = golden.layer("product", "Multiply", (one, two), one * two)
        golden.output(golden.layer("head", "Dense", product, module.head(product)))
    assert all(layer.status == "agrees" for layer in localised(golden, module, x).layers)
    module.two.forward = lambda x: {"plus": x + 1, "minus": x - 2}
    found = localised(golden, module, x)
    assert found.first["layer"] == "two"
    assert [layer.name for layer in found.forced if layer.status == "differs"] == ["two"]


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("sequence", [True, False])
def test_recurrent_modules_return_tuples(batch_first, bidirectional, sequence):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(5, 6, batch_first=batch_first, bidirectional=bidirectional)
            self.head = nn.Linear(12 if bidirectional else 6, 2)

        def forward(self, x):
            out, (h, _) = self.rnn(x if batch_first else x.transpose(0, 1))
            if sequence:
                out = out if batch_first else out.transpose(0, 1)
                return self.head(torch.tanh(out))
            return self.head(torch.tanh(torch.cat(list(h), 1)))

    module, x = Net(), torch.randn(3, 7, 5)
    golden = Golden()
    golden.input(x)
    with torch.no_grad():
        out, (h, _) = module.rnn(x if batch_first else x.transpose(0, 1))
        out = out if batch_first else out.transpose(0, 1)
        value = golden.layer("rnn", "LSTM", x, out.clone() if sequence else torch.cat(list(h), 1))
        value = golden.layer("tanh", "Activation", value, torch.tanh(value))
        golden.output(golden.layer("head", "Dense", value, module.head(value)))
    found = localised(golden, module, x, always=True)
    assert [layer.status for layer in found.layers] == ["agrees"] * 3 and found.first is None
    with torch.no_grad():
        module.rnn.weight_hh_l0.copy_(
            torch.cat([module.rnn.weight_hh_l0[i * 6 : i * 6 + 6] for i in (0, 1, 3, 2)])
        )
    found = localised(golden, module, x)
    assert found.first["layer"] == "rnn"
    assert [layer.status for layer in found.forced] == ["differs", "agrees", "agrees"]
    assert [c["cause"] for c in found.causes] == ["gate order"], found.first


def test_attention_of_torch_is_paired_and_its_mask_judged():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.head = nn.Linear(8, 3)

        def forward(self, x, mask):
            return self.head(self.attention(x, x, x, key_padding_mask=mask)[0])

    module, x = Net().eval(), torch.randn(2, 5, 8)
    mask = torch.tensor([[False, False, False, True, True], [False, False, True, True, False]])
    golden = Golden()
    golden.input(x)
    with torch.no_grad():
        y = golden.layer(
            "attention", "MultiHeadAttention", (x, x), module.attention(x, x, x, key_padding_mask=mask)[0]
        )
        golden.output(golden.layer("head", "Dense", y, module.head(y)))
    found = localised(golden, module, x, mask)
    assert statuses(found) == {"attention": ("agrees", "name"), "head": ("agrees", "name")}
    found = localised(golden, module, x, ~mask)
    assert found.first["layer"] == "attention"
    assert causes(found)[0][0] == "attention mask"


def test_training_mode_leaves_the_statistics_as_they_were(net):
    module, x = net
    golden = module.record(x)
    other = faulty(module)
    before = other.bn1.running_mean.clone()
    other.bn1.train()
    found = localised(golden, other, x)
    assert found.first["layer"] == "bn1"
    assert causes(found) == [
        ("train/eval mode", "with eval mode it agrees (the candidate has training mode)")
    ]
    assert torch.equal(other.bn1.running_mean, before)


def test_weights_and_modes_are_as_before_after_all_trials(net):
    module, x = net
    golden = module.record(x)
    other = faulty(module)
    with torch.no_grad():
        other.conv2.weight.mul_(1.5)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    found = localised(golden, other, x)
    assert found.first["layer"] == "conv2"
    assert all(torch.equal(before[name], tensor) for name, tensor in other.state_dict().items())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in other.modules())


def test_nothing_of_a_layer_is_kept_after_it_was_compared(net):
    module, x = net
    seen = []

    def forward(self, x):
        y = F.relu(self.conv1(x))
        seen.append(weakref.ref(y))
        y = self.bn1(y)
        gc.collect()
        seen.append(seen[0]())
        x = F.max_pool2d(y, 2)
        x = x + F.relu(self.conv2(x))
        return torch.softmax(self.head(x.permute(0, 2, 3, 1).flatten(1)), 1)

    localised(module.record(x), faulty(module, forward=forward), x)
    assert seen[1] is None


def test_a_plain_function_is_compared_step_by_step():
    x = torch.randn(4, 6)
    golden = Golden()
    golden.input(x)
    a = golden.layer("scope/exp", "Tensor", x, torch.exp(x))
    b = golden.layer("scope/sum", "Tensor", a, a.sum(1))
    golden.output(b.clone())
    found = localised(golden, None, forward=lambda: torch.exp(x).sum(1))
    assert statuses(found) == {"scope/exp": ("agrees", "value"), "scope/sum": ("agrees", "value")}
    found = localised(golden, None, forward=lambda: torch.exp(x).mean(1))
    assert found.first["layer"] == "scope/sum"
    assert causes(found) == [("kind of pooling", "with the sum it agrees (the candidate has mean)")]


def test_integers_are_compared_exactly():
    from tfport.parity.localise.judging import Judge
    from tfport.parity.localise.reference import read_calls

    golden = Golden()
    golden.put("a", torch.tensor([1, 2, 3]))
    golden.put("b", torch.tensor([1.0, float("nan"), float("inf")]))
    judge = Judge(read_calls([], golden.values), golden.entry, "cpu")
    assert judge.measure("a", judge.tensor("a"), torch.tensor([1, 2, 3])).ok
    assert not judge.measure("a", judge.tensor("a"), torch.tensor([1, 2, 4])).ok
    wanted = judge.tensor("b")
    assert judge.measure("b", wanted, torch.tensor([1.0, float("nan"), float("inf")])).ok
    for wrong in ([1.0, 2.0, float("inf")], [1.0, float("nan"), float("-inf")], [1.0, float("nan"), 3.0]):
        assert not judge.measure("b", wanted, torch.tensor(wrong)).ok
    assert not judge.measure("b", torch.ones(3), torch.tensor([1.0, float("nan"), 1.0])).ok
