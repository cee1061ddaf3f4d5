"""Run in a process of its own: TensorFlow trains a small model six steps with every optimizer and saves it after three.

Usage: python tensorflow_resumes.py FOLDER keras3|keras2|v1. Leaves, for each optimizer, the checkpoints of step 3 and
`<name>.npz`: batches, the losses of all steps and the weights of step 6 in Keras' order.
"""

import os
import sys

os.environ.update(CUDA_VISIBLE_DEVICES="", TF_CPP_MIN_LOG_LEVEL="3")

import numpy as np
import tensorflow as tf

FOLDER, KIND = sys.argv[1:]
source = np.random.RandomState(0)
XS = source.standard_normal((6, 8, 5)).astype(np.float32)
YS = source.standard_normal((6, 8, 3)).astype(np.float32)
START = [
    0.5 * source.standard_normal(shape).astype(np.float32)
    for shape in ((5, 4), (4,), (4,), (4,), (4, 3), (3,))
]


def path(name):
    return os.path.join(FOLDER, name)


def model_of(keras):
    layers = keras.layers
    model = keras.Sequential([
        keras.Input((5,)), layers.Dense(4, activation="tanh", name="a"), layers.BatchNormalization(name="bn"), layers.Dense(3, name="b"),
    ], name="net")  # fmt: skip
    for variable, value in zip(model.trainable_variables, START):
        variable.assign(value)
    return model


def train(keras, name, optimizer):
    model = model_of(keras)
    model.get_layer("a").trainable = not name.startswith("frozen")
    model.compile(optimizer, "mse")
    scaled = getattr(optimizer, "scale_loss", lambda loss: loss)
    losses, averages = [], []
    for step in range(6):
        if step == 3:
            save(model, optimizer, name)
            averages = [v.numpy() for v in getattr(optimizer, "_model_variables_moving_average", [])]
        with tf.GradientTape() as tape:
            out = model(XS[step], training=True)
            loss = tf.reduce_mean((out - YS[step]) ** 2)
            total = scaled(loss)
        optimizer.apply_gradients(
            zip(tape.gradient(total, model.trainable_variables), model.trainable_variables)
        )
        losses.append(float(loss))
    np.savez(
        path(name + ".npz"),
        xs=XS,
        ys=YS,
        losses=losses,
        **{f"w{i}": w for i, w in enumerate(model.get_weights())},
        **{f"ema{i}": w for i, w in enumerate(averages)},
    )


def save(model, optimizer, name):
    endings = ["keras", "h5"] + (["weights.h5"] if KIND == "keras3" else [])
    for ending in endings:
        (model.save_weights if ending == "weights.h5" else model.save)(path(f"{name}.{ending}"))
    tf.train.Checkpoint(model=model, optimizer=optimizer).write(path(name + "_ck"))


def several(keras, make):
    """Two models in a checkpoint, two steps of one and five of the other, each by an optimizer of its own."""
    models = {
        name: keras.Sequential([keras.Input((5,)), keras.layers.Dense(5)])
        for name in ("generator", "discriminator")
    }
    held = dict(models)
    for (name, model), steps in zip(models.items(), (2, 5)):
        held[f"{name}_optimizer"] = optimizer = make()
        for step in range(steps):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((model(XS[step]) - 1) ** 2)
            optimizer.apply_gradients(
                zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
            )
    tf.train.Checkpoint(**held).write(path("several_ck"))
    np.savez(path("several.npz"), **{name: model.get_weights()[0] for name, model in models.items()})


def keras3():
    import keras

    o = keras.optimizers
    schedule = o.schedules.ExponentialDecay(0.05, 2, 0.5)
    for name, optimizer in {
        "adam": o.Adam(0.01), "adam_amsgrad": o.Adam(0.01, amsgrad=True), "adam_epsilon": o.Adam(0.01, epsilon=0.1),
        "adam_schedule": o.Adam(schedule), "adamw": o.AdamW(0.01), "sgd": o.SGD(0.05), "sgd_momentum": o.SGD(0.05, momentum=0.9),
        "sgd_nesterov": o.SGD(0.05, momentum=0.9, nesterov=True), "sgd_schedule": o.SGD(schedule, momentum=0.9),
        "rmsprop": o.RMSprop(0.01), "rmsprop_momentum": o.RMSprop(0.01, momentum=0.5),
        "rmsprop_centered": o.RMSprop(0.01, momentum=0.5, centered=True), "adagrad": o.Adagrad(0.05),
        "adadelta": o.Adadelta(1.0), "adamax": o.Adamax(0.01), "nadam": o.Nadam(0.01), "ftrl": o.Ftrl(0.05), "lion": o.Lion(0.01), "lamb": o.Lamb(0.01), "adam_ema": o.Adam(0.01, use_ema=True, ema_momentum=0.5),
        "adam_sums": o.Adam(0.01, gradient_accumulation_steps=2), "frozen_adam": o.Adam(0.01),
        "scaled_adam": o.LossScaleOptimizer(o.Adam(0.01), initial_scale=8.0, dynamic_growth_steps=2),
    }.items():  # fmt: skip
        train(keras, name, optimizer)
    several(keras, lambda: o.Adam(0.01))


def keras2():
    import tf_keras

    o = tf_keras.optimizers
    old = o.legacy
    for name, optimizer in {
        "adam": o.Adam(0.01, amsgrad=True), "sgd_momentum": o.SGD(0.05, momentum=0.9), "adagrad": o.Adagrad(0.05),
        "rmsprop_centered": o.RMSprop(0.01, momentum=0.5, centered=True), "adadelta": o.Adadelta(1.0), "adamax": o.Adamax(0.01),
        "ftrl": o.Ftrl(0.05), "adamw": o.AdamW(0.01), "sgd": o.SGD(0.05), "legacy_nadam": old.Nadam(0.01),
        "legacy_adam": old.Adam(0.01), "legacy_sgd": old.SGD(0.05, momentum=0.9), "legacy_rmsprop": old.RMSprop(0.01),
        "legacy_adagrad": old.Adagrad(0.05), "legacy_adamax": old.Adamax(0.01),
    }.items():  # fmt: skip
        train(tf_keras, name, optimizer)
    several(tf_keras, lambda: old.Adam(0.01))


class WithoutCorrection:
    """Adam with decoupled weight decay and without bias correction; slots are `w/adam_m` and `w/adam_v`."""

    def minimize(self, loss, global_step):
        v1 = tf.compat.v1
        updates = [v1.assign_add(global_step, 1)]
        held = v1.trainable_variables()
        gradients = v1.gradients(loss, held)
        for variable, gradient in zip(held, gradients):
            slots = [
                v1.get_variable(
                    f"{variable.op.name}/adam_{s}",
                    variable.shape,
                    initializer=v1.zeros_initializer(),
                    trainable=False,
                )
                for s in "mv"
            ]
            m, v = 0.9 * slots[0] + 0.1 * gradient, 0.999 * slots[1] + 0.001 * gradient**2
            step = 0.01 * (m / (tf.sqrt(v) + 1e-6) + 0.01 * variable)
            with tf.control_dependencies([step, loss, *gradients]):  # no gradient sees a variable that moved
                updates += [v1.assign(slots[0], m), v1.assign(slots[1], v), v1.assign_sub(variable, step)]
        return tf.group(*updates)


def v1():
    v1 = tf.compat.v1
    t = v1.train
    for name, make in {
        "adam": lambda: t.AdamOptimizer(0.01), "momentum": lambda: t.MomentumOptimizer(0.05, 0.9),
        "nesterov": lambda: t.MomentumOptimizer(0.05, 0.9, use_nesterov=True), "rmsprop": lambda: t.RMSPropOptimizer(0.01),
        "rmsprop_momentum": lambda: t.RMSPropOptimizer(0.01, momentum=0.5),
        "rmsprop_centered": lambda: t.RMSPropOptimizer(0.01, momentum=0.5, centered=True), "adagrad": lambda: t.AdagradOptimizer(0.05),
        "adadelta": lambda: t.AdadeltaOptimizer(1.0), "ftrl": lambda: t.FtrlOptimizer(0.05),
        "gradient_descent": lambda: t.GradientDescentOptimizer(0.05), "without_correction": WithoutCorrection,
    }.items():  # fmt: skip
        with tf.Graph().as_default(), v1.Session() as session:
            x, y = v1.placeholder("float32", (8, 5)), v1.placeholder("float32", (8, 3))
            names = {"a/kernel": START[0], "a/bias": START[1], "b/kernel": START[4], "b/bias": START[5]}
            held = {n: v1.get_variable(n, initializer=v, use_resource=False) for n, v in names.items()}
            out = tf.nn.tanh(x @ held["a/kernel"] + held["a/bias"]) @ held["b/kernel"] + held["b/bias"]
            loss = tf.reduce_mean((out - y) ** 2)
            step_of = t.get_or_create_global_step()
            train_op = make().minimize(loss, global_step=step_of)
            session.run(v1.global_variables_initializer())
            losses = []
            for step in range(6):
                if step == 3:
                    t.Saver().save(session, path("v1_" + name), write_meta_graph=False)
                losses.append(session.run([loss, train_op], {x: XS[step], y: YS[step]})[0])
            made = session.run(list(held.values()))
            np.savez(
                path(f"v1_{name}.npz"),
                xs=XS,
                ys=YS,
                losses=losses,
                **{f"w{i}": w for i, w in enumerate(made)},
            )
    several_v1()


def several_v1():
    """As `several`, by optimizers that the program named."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x, made = v1.placeholder("float32", (8, 5)), []
        for scope, name in (("generator", "g_opt"), ("discriminator", "d_opt")):
            kernel = v1.get_variable(
                f"{scope}/dense/kernel", initializer=np.eye(5, dtype="f4"), use_resource=False
            )
            bias = v1.get_variable(f"{scope}/dense/bias", initializer=np.zeros(5, "f4"), use_resource=False)
            loss = tf.reduce_mean((x @ kernel + bias - 1) ** 2)
            made.append(v1.train.AdamOptimizer(0.01, name=name).minimize(loss, var_list=[kernel, bias]))
        session.run(v1.global_variables_initializer())
        for op, steps in zip(made, (2, 5)):
            for step in range(steps):
                session.run(op, {x: XS[step]})
        v1.train.Saver().save(session, path("several_v1"), write_meta_graph=False)


{"keras3": keras3, "keras2": keras2, "v1": v1}[KIND]()
