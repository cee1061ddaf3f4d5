"""Programs like real ones, of 15 to 40 lines, that test_same_meaning.py runs in TensorFlow and, converted, in torch."""

from __future__ import annotations

LONG = {
    "linreg": """
rng = np.random.RandomState(0)
X = rng.randn(20, 3).astype("float32")
true_w = np.array([1.0, -2.0, 0.5], dtype="float32")
y = X @ true_w + 0.1
w = tf.Variable(tf.zeros([3]))
b = tf.Variable(0.0)
def predict(x):
    return tf.linalg.matvec(x, w) + b
def mse(p, t):
    return tf.reduce_mean((p - t) ** 2)
history = []
best = None
for step in range(15):
    with tf.GradientTape() as tape:
        loss = mse(predict(X), y)
    gw, gb = tape.gradient(loss, [w, b])
    w.assign_sub(0.1 * gw)
    b.assign_sub(0.1 * gb)
    history.append(float(loss))
    if best is None or loss < best:
        best = loss
        best_w = tf.identity(w)
show(best, best_w, w, b, history[-1])
""",
    "batch stats": """
def stats(values):
    total = 0
    count = 0
    for v in values:
        total += tf.reduce_sum(v)
        count += tf.size(v)
    return total / tf.cast(count, tf.float32), total, count
mean, total, count = stats([tf.constant([1.0, 2.0]), tf.constant([3.0, 4.0, 5.0])])
show(mean, total, count)
def int_mean(values):
    total = tf.constant(0)
    for v in values:
        total += tf.reduce_sum(v)
    return total / len(values)
show(int_mean([tf.constant([1, 2]), tf.constant([3])]))
acc = tf.zeros([2], tf.int32)
for k in range(3):
    acc += tf.constant([k, 2 * k])
show(acc, acc / 3, acc // 3, acc % 2)
""",
    "accuracy": """
logits = tf.constant([[0.1, 2.0, 0.3], [1.5, 0.2, 0.1], [0.2, 0.1, 0.9], [0.3, 0.9, 0.2]])
labels = tf.constant([1, 0, 1, 1])
pred = tf.argmax(logits, axis=1, output_type=tf.int32)
correct = pred == labels
n_correct = tf.reduce_sum(tf.cast(correct, tf.int32))
accuracy = n_correct / len(labels)
show(pred, correct, n_correct, accuracy)
confusion = tf.zeros([3, 3], tf.int32)
for p, l in zip(pred, labels):
    confusion = tf.tensor_scatter_nd_add(confusion, [[l, p]], [1])
show(confusion, tf.linalg.diag_part(confusion) / tf.reduce_sum(confusion, axis=1))
def precision(tp, fp):
    return tp / (tp + fp)
tp = tf.math.count_nonzero(correct)
fp = tf.size(correct, out_type=tf.int64) - tp
show(tp, fp, precision(tp, fp), precision(tf.cast(tp, tf.float32), tf.cast(fp, tf.float32)), precision(3, 1))
""",
    "moving average": """
class EMA:
    def __init__(self, decay):
        self.decay = decay
        self.value = None
        self.steps = 0
    def update(self, x):
        self.steps += 1
        if self.value is None:
            self.value = x
        else:
            self.value *= self.decay
            self.value += (1 - self.decay) * x
        return self.value
e = EMA(0.9)
xs = [tf.constant([1.0, 2.0]), tf.constant([3.0, 4.0]), tf.constant([5.0, 6.0])]
out = [e.update(x) for x in xs]
show(out, xs, e.steps, e.value)
""",
    "replay": """
class Buffer:
    def __init__(self, size):
        self.items = [tf.zeros([2])] * size
        self.counts = [0] * size
        self.pos = 0
    def push(self, x):
        self.items[self.pos] += x
        self.counts[self.pos] += 1
        self.pos = (self.pos + 1) % len(self.items)
    def mean(self):
        return [i / c for i, c in zip(self.items, self.counts)]
buf = Buffer(2)
for k in range(4):
    buf.push(tf.constant([1.0 * k, 2.0]))
show(buf.items, buf.counts, buf.mean())
""",
    "target net": """
online = [tf.Variable([[1.0, 2.0], [3.0, 4.0]]), tf.Variable([0.5, 0.5])]
target = [tf.Variable(v) for v in online]
snap = [tf.identity(v) for v in online]
flat = tf.concat([tf.reshape(v, [-1]) for v in online], 0)
rows = [tf.reshape(v, [-1]) for v in online]
first = online[0][0]
tau = 0.25
for o in online:
    o.assign_add(tf.ones_like(o))
for t, o in zip(target, online):
    t.assign(tau * o + (1 - tau) * t)
show(online, target, snap, flat, rows, first)
""",
    "masks": """
x = tf.constant([[1.0, -2.0, 3.0], [-4.0, 5.0, -6.0]])
mask = x > 0
show(tf.cast(mask, tf.float32) * x, tf.where(mask, x, 0.0), x[mask], tf.boolean_mask(x, mask), tf.reduce_sum(tf.cast(mask, tf.int32), 1))
both = mask & (x < 4)
either = mask | (x < -5)
show(both, either, ~mask, mask ^ both, tf.reduce_any(both, 1), tf.reduce_all(either))
n = tf.reduce_sum(tf.cast(mask, tf.int32))
show(n, n / 2, n // 2, tf.reduce_sum(x * tf.cast(mask, x.dtype)) / tf.cast(n, x.dtype))
def masked_mean(values, m):
    m = tf.cast(m, values.dtype)
    return tf.reduce_sum(values * m) / tf.reduce_sum(m)
show(masked_mean(x, mask), masked_mean(tf.cast(x, tf.float64), mask), masked_mean(tf.cast(x, tf.int32), mask))
""",
    "attention": """
def attention(q, k, v, mask=None):
    scores = tf.matmul(q, k, transpose_b=True)
    dk = tf.cast(tf.shape(k)[-1], tf.float32)
    scores = scores / tf.math.sqrt(dk)
    if mask is not None:
        scores += (mask * -1e9)
    weights = tf.nn.softmax(scores, axis=-1)
    return tf.matmul(weights, v), weights
q = tf.reshape(tf.range(12, dtype=tf.float32), [1, 3, 4]) / 10
mask = 1 - tf.linalg.band_part(tf.ones((3, 3)), -1, 0)
out, w = attention(q, q, q, mask)
show(out, w, mask)
out, w = attention(q, q, q)
show(out)
""",
    "positional": """
def encoding(length, depth):
    depth = depth / 2
    positions = np.arange(length)[:, np.newaxis]
    depths = np.arange(depth)[np.newaxis, :] / depth
    angle = positions * (1 / (10000 ** depths))
    return tf.cast(np.concatenate([np.sin(angle), np.cos(angle)], axis=-1), dtype=tf.float32)
pe = encoding(4, 6)
show(pe, pe[:2, ::2], pe[::-1, -1])
x = tf.ones([2, 4, 6])
length = tf.shape(x)[1]
x *= tf.math.sqrt(tf.cast(6, tf.float32))
x = x + pe[tf.newaxis, :length, :]
show(x[0, 1])
""",
    "metrics class": """
class Mean:
    def __init__(self):
        self.total = tf.Variable(0.0)
        self.count = tf.Variable(0)
    def update(self, values):
        self.total.assign_add(tf.reduce_sum(values))
        self.count.assign_add(tf.size(values))
    def result(self):
        return self.total / tf.cast(self.count, tf.float32)
    def reset(self):
        for v in (self.total, self.count):
            v.assign(tf.zeros_like(v))
m = Mean()
m.update(tf.constant([1.0, 2.0, 6.0]))
r = m.result()
old = m.count.value()
m.update([3.0])
show(r, m.result(), old, m.count, m.count / 2, m.count * 2)
m.reset()
show(m.total, m.count)
""",
    "fib loop": """
def fib(n):
    a, b = tf.constant(0), tf.constant(1)
    i = tf.constant(0)
    while i < n:
        a, b = b, a + b
        i += 1
    return a
show(fib(10), fib(tf.constant(7)))
i = tf.constant(10)
steps = 0
while i > 1:
    if i % 2 == 0:
        i //= 2
    else:
        i = i * 3 + 1
    steps += 1
show(i, steps)
""",
    "numpy alias": """
t = tf.constant([1.0, 2.0, 3.0])
a = t.numpy()
a[0] = 9.0
a += 1
show(t, a)
l = tf.constant(2.5)
best = l.numpy()
prev = best
best += 1
show(l, best, prev)
v = tf.Variable([1.0, 2.0])
n = v.numpy()
n *= 3
show(v, n)
arr = np.array([1.0, 2.0, 3.0])
c = tf.constant(arr)
arr[0] = 100
show(c, arr)
d = tf.convert_to_tensor(arr)
arr[1] = 50
show(d)
w = tf.Variable(arr)
arr[2] = 7
show(w)
class A:
    pass
o = A()
o.x = t.numpy()
o.x[1] = 0
show(t, o.x)
rows = [r.numpy() for r in tf.constant([[1.0, 2.0], [3.0, 4.0]])]
rows[0][0] = 5
show(rows)
""",
    "ints": """
def half(n):
    return n / 2
def ratio(a, b):
    return a / b
def norm(x):
    return x / tf.reduce_sum(x)
def avg(xs):
    return sum(xs) / len(xs)
show(half(tf.constant(3)), half(3), half(tf.constant(3.0)), ratio(tf.constant(1), tf.constant(3)), ratio(1, 3), ratio(tf.constant(1.0), 3))
show(norm(tf.constant([1, 2, 3])), norm(tf.constant([1.0, 3.0])), avg([tf.constant(1), tf.constant(2)]), avg([1.0, 2.0]))
class S:
    def __init__(self, n):
        self.n = n
    def inv(self):
        return 1 / self.n
    def scaled(self, x):
        x /= self.n
        return x
show(S(tf.constant(4)).inv(), S(4).inv(), S(tf.constant(4)).scaled(tf.constant(6)), S(4.0).scaled(tf.constant(6.0)))
f = lambda a, b: a / b
show(f(tf.constant(5), tf.constant(2)), f(5, 2))
""",
    "closures": """
def counter(start):
    value = start
    def step(by):
        nonlocal value
        value += by
        return value
    return step
c0 = tf.constant([1.0, 2.0])
c = counter(c0)
r1 = c(1.0)
r2 = c(tf.constant([10.0, 20.0]))
show(r1, r2, c0)
total = tf.constant(0.0)
def add(x):
    global total
    total += x
    return total
a = add(1.0)
b = add(2.0)
show(a, b, total)
def apply(fs, x):
    for f in fs:
        x = f(x)
    return x
show(apply([lambda t: t + 1, lambda t: t * 2, tf.square], tf.constant(2.0)))
""",
    "dtype dispatch": """
def normalize(x):
    if x.dtype.is_integer:
        x = tf.cast(x, tf.float32) / x.dtype.max
    elif x.dtype == tf.float64:
        x = tf.cast(x, tf.float32)
    return x
show(normalize(tf.constant([255, 0], tf.uint8)), normalize(tf.constant([1.5], tf.float64)), normalize(tf.constant([2.5])))
def eps(x):
    return np.finfo(x.dtype.as_numpy_dtype).eps
show(eps(tf.constant(1.0)), eps(tf.constant(1.0, tf.float64)))
def info(x):
    return f"{x.dtype.name}:{x.shape.rank}:{x.shape.as_list()}"
show(info(tf.zeros([2, 3])), info(tf.constant(1)), info(tf.Variable([1.0])))
def like(x):
    return tf.zeros(tf.shape(x), x.dtype), tf.ones(x.shape[:1], dtype=x.dtype), tf.fill(x.shape, tf.cast(3, x.dtype))
show(*like(tf.constant([[1, 2]])), *like(tf.constant([[1.0]])))
""",
    "shape code": """
def flatten(x):
    shape = x.get_shape().as_list()
    dim = 1
    for d in shape[1:]:
        dim *= d
    return tf.reshape(x, [-1, dim])
def flatten2(x):
    return tf.reshape(x, [tf.shape(x)[0], -1])
def merge(x):
    s = tf.shape(x)
    return tf.reshape(x, [s[0] * s[1], s[2]])
def heads(x, n):
    b, t, d = x.shape
    x = tf.reshape(x, (b, t, n, d // n))
    return tf.transpose(x, perm=[0, 2, 1, 3])
x = tf.reshape(tf.range(24), [2, 3, 4])
show(flatten(x), flatten2(x), merge(x), heads(x, 2))
assert x.shape == [2, 3, 4] and x.shape == (2, 3, 4) and x.shape.ndims == 3
assert x.shape[1:] == [3, 4]
if x.shape.as_list() == [2, 3, 4] and len(x.shape) == 3 and x.shape.rank == 3:
    show("ok")
batch = tf.shape(x)[0]
show(tf.zeros([batch, 2]), tf.tile(tf.constant([[1, 2]]), [batch, 1]), tf.range(batch), tf.cast(batch, tf.float32) / 3)
idx = tf.stack([tf.range(batch), tf.constant([2, 0])], axis=1)
show(tf.gather_nd(x, idx), tf.stack([batch, tf.shape(x)[1]]))
pad = [[0, 0], [1, tf.shape(x)[1] % 2], [0, 0]]
show(tf.shape(tf.pad(x, pad)))
""",
    "sampling": """
logits = tf.constant([1.0, 3.0, 2.0])
k = 2
values, indices = tf.math.top_k(logits, k=k)
threshold = values[-1]
filtered = tf.where(logits < threshold, tf.ones_like(logits) * -1e9, logits)
show(values, indices, threshold, filtered, tf.nn.softmax(filtered))
order = tf.argsort(logits, direction="DESCENDING")
sorted_ = tf.gather(logits, order)
cum = tf.cumsum(tf.nn.softmax(sorted_))
remove = cum > 0.7
remove = tf.concat([[False], remove[:-1]], 0)
show(order, sorted_, cum, remove)
ids = [int(i) for i in indices]
vocab = ["a", "b", "c"]
show("".join(vocab[i] for i in indices), ids, [vocab[int(tf.argmax(logits))]])
seq = tf.constant([[1, 2]])
nxt = tf.argmax(tf.one_hot(seq[:, -1], 5), axis=-1)
seq = tf.concat([seq, tf.cast(nxt, seq.dtype)[:, tf.newaxis]], axis=1)
show(seq, nxt)
""",
    "schedules": """
class Schedule:
    def __init__(self, d, warmup=4):
        self.d = tf.cast(d, tf.float32)
        self.warmup = warmup
    def __call__(self, step):
        step = tf.cast(step, dtype=tf.float32)
        return tf.math.rsqrt(self.d) * tf.math.minimum(tf.math.rsqrt(step), step * (self.warmup ** -1.5))
s = Schedule(64)
show([s(k) for k in (1, 2, 10)])
def cosine(step, total):
    return 0.5 * (1 + tf.cos(np.pi * step / total))
show(cosine(3, 10), cosine(tf.constant(3.0), 10.0))
def exp_decay(lr, step, every, rate):
    return lr * rate ** (step // every)
show(exp_decay(0.1, 7, 3, 0.5), exp_decay(tf.constant(0.1), 7, 3, 0.5), exp_decay(0.1, tf.constant(7), 3, tf.constant(2)) if False else 0)
""",
    "distance": """
def pairwise(a, b):
    a2 = tf.reduce_sum(a * a, 1, keepdims=True)
    b2 = tf.reduce_sum(b * b, 1)
    return a2 - 2 * tf.matmul(a, b, transpose_b=True) + b2
a = tf.constant([[0.0, 1.0], [2.0, 3.0], [5.0, 5.0]])
c = tf.gather(a, [0, 2])
for _ in range(2):
    d = pairwise(a, c)
    assign = tf.argmin(d, axis=1)
    sums = tf.math.unsorted_segment_sum(a, assign, 2)
    counts = tf.math.unsorted_segment_sum(tf.ones_like(a[:, 0]), assign, 2)
    c = sums / counts[:, None]
show(d, assign, c, counts)
hist = tf.zeros(2, tf.int32)
for k in assign:
    hist += tf.one_hot(k, 2, dtype=tf.int32)
show(hist, hist / tf.reduce_sum(hist), tf.math.bincount(tf.cast(assign, tf.int32)))
""",
    "gradients": """
x = tf.Variable(3.0)
y = tf.constant([1.0, 2.0])
with tf.GradientTape(persistent=True) as tape:
    tape.watch(y)
    z = x * x * tf.reduce_sum(y)
    u = z
    u += y[0]
    w = [z, u]
    w[0] *= 2
g = tape.gradient(u, [x, y])
show(g, tape.gradient(w[0], x), z, u, w)
with tf.GradientTape() as t2:
    with tf.GradientTape() as t1:
        v = x ** 3
    d = t1.gradient(v, x)
d2 = t2.gradient(d, x)
show(v, d, d2)
grads = [tf.constant([3.0, 4.0]), tf.constant([0.0])]
norm = tf.linalg.global_norm(grads)
clipped = [g * 1.0 / tf.maximum(norm, 1.0) for g in grads]
show(norm, clipped, *tf.clip_by_global_norm(grads, 2.0)[0])
""",
    "dice": """
def dice(y_true, y_pred, smooth=1):
    inter = tf.reduce_sum(y_true * y_pred)
    union = tf.reduce_sum(y_true) + tf.reduce_sum(y_pred)
    return (2 * inter + smooth) / (union + smooth)
def iou(a, b):
    inter = tf.reduce_sum(tf.cast(tf.logical_and(a, b), tf.int32))
    union = tf.reduce_sum(tf.cast(tf.logical_or(a, b), tf.int32))
    return inter / union
a = tf.constant([1.0, 0.0, 1.0])
show(dice(a, a * 0.5), dice(tf.cast(a, tf.int32), tf.cast(a, tf.int32)), iou(a > 0, a < 2), dice(a, a, 1e-5))
def focal(p, y, gamma=2.0, alpha=0.25):
    pt = tf.where(tf.equal(y, 1), p, 1 - p)
    return -tf.reduce_mean(alpha * tf.pow(1.0 - pt, gamma) * tf.math.log(pt + 1e-7))
show(focal(tf.constant([0.9, 0.2]), tf.constant([1, 0])))
def huber(e, d=1.0):
    a = tf.abs(e)
    q = tf.minimum(a, d)
    return tf.reduce_mean(0.5 * q ** 2 + d * (a - q))
show(huber(tf.constant([0.5, -3.0])))
""",
    "dict state": """
state = {"w": tf.constant([1.0, 2.0]), "n": 0, "hist": []}
orig = state["w"]
for k in range(3):
    state["w"] -= 0.1 * state["w"]
    state["n"] += 1
    state["hist"].append(state["w"])
show(state["w"], orig, state["n"], state["hist"])
params = {"a": {"k": tf.ones([2])}}
alias = params["a"]["k"]
params["a"]["k"] *= 3
show(params["a"]["k"], alias)
from collections import defaultdict
sums = defaultdict(float)
cnt = defaultdict(int)
for name, val in [("x", tf.constant(1.0)), ("y", tf.constant(2.0)), ("x", tf.constant(3.0))]:
    sums[name] += val
    cnt[name] += 1
show({k: sums[k] / cnt[k] for k in sums}["x"], cnt["x"])
logs = {}
for step in range(2):
    for key in ("loss", "acc"):
        logs[key] = logs.get(key, 0.0) + tf.constant(0.5)
show(logs["loss"], logs["acc"])
""",
    "tensorarray": """
ta = tf.TensorArray(tf.float32, size=3)
x = tf.constant(1.0)
for k in tf.range(3):
    ta = ta.write(k, x)
    x *= 2
show(ta.stack(), x)
outs = []
h = tf.zeros([2])
for t in range(3):
    h = tf.tanh(h + tf.constant([0.1, 0.2]) * t)
    outs.append(h)
seq = tf.stack(outs, axis=1)
show(seq, tf.reverse(seq, [1]), seq[:, ::-1], tf.unstack(seq, axis=1)[-1])
""",
}
