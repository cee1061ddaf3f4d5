"""The faults planted in the programs on sequences: LSTM, GRU, transformer."""

from __future__ import annotations

from tests.parity.planted import EXCHANGED, Change, Fault, both, inserted, moved, swapped, text

REORDERED = '''
def reordered(layer, order):
    """The layer with the blocks of its weights in another order, from its first call on."""

    def reorder(module, arguments):
        if not hasattr(module, "order"):
            module.order = order
            with torch.no_grad():
                for part in [*module.parameters(), *module.buffers()]:
                    axis = -1 if part.ndim == 2 and part.shape[0] == 2 else 0
                    part.copy_(torch.cat([part.chunk(len(order), axis)[i] for i in order], axis))

    layer.register_forward_pre_hook(reorder)
    return layer
'''

UNBIASED = '''
class Unbiased(nn.LayerNorm):
    """Divides by n - 1."""

    def forward(self, x):
        y = (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True) + self.eps)
        return y * self.weight + self.bias
'''


def gates(layer: str, order: tuple[int, ...]) -> Change:
    """The gates of a layer, `self.x = Class(...)` in the twin, in another order."""
    name, value = layer.split(" = ")
    return both(inserted(REORDERED), text(f"{name} = {value}\n", f"{name} = reordered({value}, {order})\n"))


def unbiased(layer: str) -> Change:
    """A normalisation that takes the unbiased variance."""
    return both(inserted(UNBIASED), text(layer, layer.replace("nn.LayerNorm", "Unbiased")))


def weights_of(first: str, second: str) -> Change:
    """The weights of two modules of the transformer exchanged, the modules where they were."""
    head = "        self.head = nn.Linear(LENGTH * WIDTH, classes)\n"
    return both(inserted(EXCHANGED), text(head, f"{head}        exchanged(self, {first}, {second})\n"))


LSTM = {
    "gate order of the LSTM": Fault("last", gates("self.last = LSTM(UNITS, UNITS)", (0, 2, 1, 3)), "gate order"),
    "gate order of the bidirectional LSTM": Fault("both", gates("self.both = LSTM(UNITS, UNITS, bidirectional=True)", (1, 0, 2, 3)), "gate order"),
    "output gate first": Fault("last", gates("self.last = LSTM(UNITS, UNITS)", (3, 0, 1, 2)), "gate order"),
    "epsilon of the norm": Fault("norm", text("eps=1e-3", "eps=1e-5"), "epsilon"),
    "biased variance": Fault("norm", unbiased("self.norm = nn.LayerNorm(UNITS, eps=1e-3)"), "biased variance"),
    "square matrix transposed": Fault("square", moved("square", "kernel", "i o -> i o"), "transposed square kernel"),
    "recurrent kernels transposed": Fault("last", moved("last/cell", "recurrent_kernel", "i (g o) -> (g i) o", g=4), "transposed square kernel"),
    "softmax over the batch": Fault("head", text("dim=-1)", "dim=0)"), "softmax axis"),
    "dropout at work": Fault("drop", text("self.drop(self.norm(x))", "self.drop.train()(self.norm(x))"), "train/eval mode"),
    "directions exchanged": Fault("both", both(swapped(("both/forward_layer/cell", "kernel"), ("both/backward_layer/cell", "kernel")), swapped(("both/forward_layer/cell", "recurrent_kernel"), ("both/backward_layer/cell", "recurrent_kernel")), swapped(("both/forward_layer/cell", "bias"), ("both/backward_layer/cell", "bias")))),
    "bias of one direction only": Fault("both", swapped(("both/forward_layer/cell", "bias"), ("both/backward_layer/cell", "bias"))),
    "the first step for the last": Fault("last", text("self.last(x)[:, -1]", "self.last(x)[:, 0]")),
    "forget bias added again": Fault("last", text("self.norm = nn.LayerNorm", "self.last.bias_hh_l0[UNITS : 2 * UNITS] = 1.0\n        self.norm = nn.LayerNorm")),
    "a small second bias": Fault("last", text("self.norm = nn.LayerNorm", "self.last.bias_hh_l0.fill_(1e-4)\n        self.norm = nn.LayerNorm")),
    "batch and time exchanged": Fault("both", text("self.both(self.table(ids))", "self.both(self.table(ids).transpose(0, 1)).transpose(0, 1)")),
    "another activation": Fault("mix", text("torch.tanh(self.mix", "torch.sigmoid(self.mix")),
    "ids shifted by one": Fault("table", text("self.table(ids)", "self.table((ids + 1) % WORDS)")),
}  # fmt: skip

GRU = {
    "gate order after": Fault("backward", gates("self.backward = GRU(UNITS, UNITS, go_backwards=True)", (1, 0, 2)), "gate order"),
    "gate order in the program": Fault("second", text("xz, xr, xh = F.linear(x, self.weight_ih, self.bias).chunk(3, -1)", "xr, xz, xh = F.linear(x, self.weight_ih, self.bias).chunk(3, -1)\n            wr, wz = wz, wr"), "gate order"),
    "gates of the kernel alone": Fault("second", text("xz, xr, xh = F.linear(x, self.weight_ih, self.bias).chunk(3, -1)", "xr, xz, xh = F.linear(x, self.weight_ih, self.bias).chunk(3, -1)")),
    "reset after for before": Fault("second", text("torch.tanh(xh + F.linear(r * h, wh))", "torch.tanh(xh + r * F.linear(h, wh))"), "reset_after"),
    "reset before for after": Fault("first", text("torch.tanh(xh + r * hh)", "torch.tanh(xh + F.linear(r * h, wh, self.bias[1].chunk(3)[2]))"), "reset_after"),
    "update gate the other way": Fault("first", text("return z * h + (1 - z) * candidate", "return (1 - z) * h + z * candidate")),
    "recurrent bias inside": Fault("first", text("torch.tanh(xh + r * hh)", "torch.tanh(xh + r * (hh - self.bias[1].chunk(3)[2]) + self.bias[1].chunk(3)[2])")),
    "backwards not backwards": Fault("backward", text("GRU(UNITS, UNITS, go_backwards=True)", "GRU(UNITS, UNITS)")),
    "backwards put in order": Fault("backward", text("x = self.backward(self.first(x))", "x = self.backward(self.first(x)).flip(1)")),
    "recurrent kernels transposed": Fault("first", moved("first/cell", "recurrent_kernel", "i (g o) -> (g i) o", g=3), "transposed square kernel"),
    "epsilon of the norm": Fault("norm", text("eps=1e-3", "eps=1e-5"), "epsilon"),
    "padding side of the convolution": Fault("conv", text("F.pad(x, (1, 2))", "F.pad(x, (2, 1))"), "padding side"),
    "causal padding": Fault("conv", text("F.pad(x, (1, 2))", "F.pad(x, (3, 0))")),
    "channels of the convolution transposed": Fault("conv", moved("conv", "kernel", "w i o -> i o w"), "transposed square kernel"),
    "training mode": Fault("norm", text("self.norm(x)", "self.norm.train()(x)"), "train/eval mode"),
    "dropout at work": Fault("drop", text("self.drop(self.second(x))", "F.dropout(self.second(x), 0.5)"), "train/eval mode"),
    "logarithms": Fault("output", text("return self.head(self.drop(self.second(x)))", "return torch.log_softmax(self.head(self.drop(self.second(x))), -1)")),
}  # fmt: skip

LSTM_CONVERTED = {
    "gate order of the LSTM": Fault("last", gates("self.last = nn.LSTM(8, UNITS, batch_first=True)", (0, 2, 1, 3)), "gate order"),
    "gate order of the bidirectional LSTM": Fault("both", gates("self.both = nn.LSTM(8, UNITS, batch_first=True, bidirectional=True)", (1, 0, 2, 3)), "gate order"),
    "the first step for the last": Fault("last", text("self.last(x)[0][:, -1]", "self.last(x)[0][:, 0]")),
    "the last step of both directions": Fault("both", text("self.both(self.table(ids))[0]", "self.both(self.table(ids).flip(1))[0].flip(1)")),
    "time first": Fault("last", text("self.last = nn.LSTM(8, UNITS, batch_first=True)", "self.last = nn.LSTM(8, UNITS)")),
    "epsilon of the norm": Fault("norm", text("eps=0.001", "eps=1e-05"), "epsilon"),
}  # fmt: skip

GRU_CONVERTED = {
    "gate order": Fault("first", gates("self.first = nn.GRU(8, UNITS, batch_first=True)", (1, 0, 2)), "gate order"),
    "reset after for before": Fault("second", text("self.drop = nn.Dropout(0.5)", "self.second.reset_after = True\n        self.drop = nn.Dropout(0.5)"), "reset_after"),
    "backwards not backwards": Fault("backward", text("return_sequences=True, go_backwards=True", "return_sequences=True")),
    "padding side of the convolution": Fault("conv", both(text('nn.Conv1d(8, UNITS, 4, padding="same")', "nn.Conv1d(8, UNITS, 4)"), text("self.conv(self.table(ids).permute(0, 2, 1))", "self.conv(nn.functional.pad(self.table(ids).permute(0, 2, 1), (2, 1)))")), "padding side"),
    "training mode": Fault("norm", text("self.norm(torch", "self.norm.train()(torch"), "train/eval mode"),
}  # fmt: skip

ATTENTION = "blocks/block/attention"
HEADS = "e h d -> (d h) e"
TRANSFORMER = {
    "epsilon of the first norm": Fault("blocks/block/norm1", text("eps=1e-6", "eps=1e-5"), "epsilon"),
    "epsilon of a norm in the second block": Fault("blocks/block_1/norm2", text("        self.head = nn.Linear", "        self.blocks[1].norm2.eps = 1e-5\n        self.head = nn.Linear"), "epsilon"),
    "epsilon of the last norm": Fault("norm", text("self.norm = nn.LayerNorm(WIDTH, eps=1e-3)", "self.norm = nn.LayerNorm(WIDTH, eps=1e-5)"), "epsilon"),
    "biased variance within": Fault("blocks/block/norm2", unbiased("self.norm2 = nn.LayerNorm(WIDTH, eps=1e-3)"), "biased variance"),
    "biased variance of the last norm": Fault("norm", unbiased("self.norm = nn.LayerNorm(WIDTH, eps=1e-3)"), "biased variance"),
    "softmax over the queries": Fault(ATTENTION, text("torch.softmax(scores, dim=-1)", "torch.softmax(scores, dim=-2)"), "softmax axis"),
    "softmax over the batch": Fault("head", text("torch.softmax(self.head(self.norm(x).flatten(1)), dim=-1)", "torch.softmax(self.head(self.norm(x).flatten(1)), dim=0)"), "softmax axis"),
    "scale of the whole width": Fault(ATTENTION, text("math.sqrt(q.shape[-1])", "math.sqrt(self.heads * q.shape[-1])")),
    "a causal mask": Fault(ATTENTION, text("math.sqrt(q.shape[-1])\n", "math.sqrt(q.shape[-1])\n        scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -1e9)\n")),
    "query and key exchanged": Fault(ATTENTION, swapped(("blocks/0/attention/query_dense", "kernel"), ("blocks/0/attention/key_dense", "kernel"))),
    "weights of key and value exchanged": Fault("blocks/block/attention/key", weights_of("self.blocks[0].attention.key", "self.blocks[0].attention.value")),
    "heads interleaved": Fault("blocks/block/attention/value", moved("blocks/0/attention/value_dense", "kernel", HEADS)),
    "projection transposed": Fault("blocks/block/attention/query", moved("blocks/0/attention/query_dense", "kernel", "e h d -> e (h d)"), "transposed square kernel"),
    "square matrix transposed": Fault("blocks/block_1/narrow", moved("blocks/1/narrow", "kernel", "i o -> i o"), "transposed square kernel"),
    "gelu by tanh": Fault("blocks/block/wide", text("F.gelu(self.wide", 'F.gelu(approximate="tanh", input=self.wide')),
    "residual left out": Fault("blocks/block", text("return x + self.narrow", "return self.narrow")),
    "normalised after": Fault("blocks/block/norm2", text("self.wide(self.norm2(x))", "self.norm2(self.wide(x))")),
    "dropout at work": Fault("blocks/block/drop", text("self.drop(self.attention(y, y))", "self.drop.train()(self.attention(y, y))"), "train/eval mode"),
    "flatten order in the program": Fault("flat | head", text("self.norm(x).flatten(1)", "self.norm(x).transpose(1, 2).flatten(1)"), "flatten order"),
    "flatten order in the weights": Fault("head", moved("head", "kernel", "(l c) o -> o (c l)", l=6), "flatten order"),
    "positions from one": Fault("embed/position", text("torch.arange(LENGTH, device=ids.device)", "(torch.arange(LENGTH, device=ids.device) + 1) % LENGTH")),
    "blocks exchanged": Fault("blocks/block/norm1", weights_of("self.blocks[0]", "self.blocks[1]")),
    "one layer of the blocks exchanged": Fault("blocks/block/wide", weights_of("self.blocks[0].wide", "self.blocks[1].wide")),
}  # fmt: skip
