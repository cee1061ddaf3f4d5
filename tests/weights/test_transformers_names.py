"""BertModel, GPT2Model and ResNetModel of transformers, filled by name from checkpoints in TensorFlow's own naming.

Each checkpoint is made from a random instance by a small renaming table that knows nothing of tfport; a second random
instance must compute the same. Matrices are square wherever the model allows it, so that a wrong transposition shows.
"""

import re

import numpy as np
import pytest
import torch

from tfport.weights import WeightsError, load_weights

transformers = pytest.importorskip("transformers", reason="transformers is not installed")


def bert(**more):
    config = transformers.BertConfig(
        vocab_size=16, hidden_size=16, num_hidden_layers=12, num_attention_heads=4, intermediate_size=16,
        max_position_embeddings=16, type_vocab_size=16, **more,
    )  # fmt: skip
    return stirred(transformers.BertModel(config))


def gpt2():
    config = transformers.GPT2Config(
        vocab_size=16, n_positions=16, n_embd=16, n_layer=3, n_head=4, n_inner=16
    )
    return stirred(transformers.GPT2Model(config))


def resnet():
    config = transformers.ResNetConfig(
        num_channels=3, embedding_size=16, hidden_sizes=[16, 16, 16], depths=[2, 2, 2], layer_type="basic"
    )
    return stirred(transformers.ResNetModel(config))


def stirred(module):
    """All parameters and float buffers random, norms too, so that any two exchanged tensors show."""
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.normal_(0, 0.5)
        for name, tensor in module.named_buffers():
            if name.endswith("running_mean"):
                tensor.normal_()
            elif name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
    return module.eval()


def google_bert(module, prefix="bert/"):
    """google-research/bert: dense kernels are (in, out), norms gamma and beta, embeddings bare."""
    found = {}
    for name, tensor in module.state_dict().items():
        array = tensor.numpy()
        stem, _, leaf = name.rpartition(".")
        if "LayerNorm" in stem:
            leaf = {"weight": "/gamma", "bias": "/beta"}[leaf]
        elif "embeddings" in stem:
            leaf = ""
        elif leaf == "weight":
            leaf, array = "/kernel", array.T.copy()
        else:
            leaf = "/bias"
        found[prefix + re.sub(r"layer\.(\d+)", r"layer_\1", stem).replace(".", "/") + leaf] = array
    return found


def openai_gpt2(module):
    """openai/gpt-2: conv1d kernels are (1, in, out), norms g and b."""
    found = {}
    for name, tensor in module.state_dict().items():
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        array = tensor.numpy()
        stem, _, leaf = name.rpartition(".")
        stem = re.sub(r"^h\.(\d+)", r"h\1", stem).replace(".", "/")
        if stem in ("wte", "wpe"):
            found[f"model/{stem}"] = array
        elif "ln_" in stem:
            found[f"model/{stem}/{'g' if leaf == 'weight' else 'b'}"] = array
        elif leaf == "weight":
            found[f"model/{stem}/w"] = array[None]
        else:
            found[f"model/{stem}/b"] = array
    return found


def keras_resnet(module):
    """A Keras subclass of the same shape: convolution kernels (h, w, in, out), Keras' names of the statistics."""
    leaves = {
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
    }
    found = {}
    for name, tensor in module.state_dict().items():
        stem, _, leaf = name.rpartition(".")
        if leaf == "num_batches_tracked":
            continue
        array = tensor.numpy()
        if array.ndim == 4:
            leaf, array = "kernel", array.transpose(2, 3, 1, 0).copy()
        else:
            leaf = leaves[leaf]
        stem = re.sub(r"(stages|layers|layer)\.(\d+)", r"\1_\2", stem)
        found[f"res_net_model_3/resnet/{stem.replace('.', '/')}/{leaf}:0"] = array
    return found


TOKENS = torch.arange(24).reshape(2, 12) % 16
CASES = {
    "bert": (bert, google_bert, {"input_ids": TOKENS}),
    "gpt2": (gpt2, openai_gpt2, {"input_ids": TOKENS}),
    "resnet": (
        resnet,
        keras_resnet,
        {"pixel_values": torch.linspace(-1, 1, 2 * 3 * 37 * 35).reshape(2, 3, 37, 35)},
    ),
}


def outputs(module, inputs):
    with torch.no_grad():
        return {k: v for k, v in module(**inputs).items() if isinstance(v, torch.Tensor)}


def shuffled(found):
    names = list(found)
    np.random.default_rng(0).shuffle(names)
    return {name: found[name] for name in names}


@pytest.mark.parametrize("name", CASES)
def test_a_checkpoint_in_tensorflows_names_fills_the_model(name):
    make, rename, inputs = CASES[name]
    torch.manual_seed(0)
    source, target = make(), make()
    found = rename(source)
    kept = {n: b.clone() for n, b in target.named_buffers() if "running" not in n}
    before = outputs(target, inputs)
    report = load_weights(target, shuffled(found))
    assert report.matched_by == ("canonical name",) and len(report.loaded) == len(found)
    for key, tensor in outputs(source, inputs).items():
        assert torch.equal(tensor, outputs(target, inputs)[key]), key
        assert not torch.allclose(tensor, before[key]), key
    for n, tensor in source.named_parameters():
        assert torch.equal(tensor, target.get_parameter(n)), n
    assert all(torch.equal(b, target.get_buffer(n)) for n, b in kept.items())


@pytest.mark.parametrize(
    "wrap", [lambda m: torch.nn.DataParallel(m), lambda m: torch.nn.ModuleDict({"bert": m})]
)
def test_a_wrapped_model_and_a_bare_checkpoint(wrap):
    source, target = bert(), bert()
    for prefix in ("", "bert/", "model_2/bert_1/"):
        load_weights(wrap(target), google_bert(source, prefix))
        for n, tensor in source.named_parameters():
            assert torch.equal(tensor, target.get_parameter(n)), n
        stirred(target)


def test_the_heads_of_pretraining_are_named_and_a_map_or_strict_settles_them(tmp_path):
    found = google_bert(bert()) | {
        "cls/predictions/transform/dense/kernel": np.zeros((16, 16), "f4"),
        "cls/seq_relationship/output_weights": np.zeros((2, 16), "f4"),
    }
    target = bert()
    before = {n: p.clone() for n, p in target.named_parameters()}
    with pytest.raises(WeightsError) as caught:
        load_weights(target, found)
    assert [line.split(" [")[0] for line in caught.value.problems] == [
        "left over: cls/predictions/transform/dense/kernel", "left over: cls/seq_relationship/output_weights",
    ]  # fmt: skip
    assert all(torch.equal(p, before[n]) for n, p in target.named_parameters())
    report = load_weights(target, found, strict=False)
    assert report.left_over == (
        "cls/predictions/transform/dense/kernel",
        "cls/seq_relationship/output_weights",
    )
    assert not report.missing


def test_a_left_over_head_does_not_fill_a_missing_pooler():
    """Both are a dense layer of the same shape, and the names end alike."""
    found = google_bert(bert())
    found["cls/predictions/transform/dense/kernel"] = found.pop("bert/pooler/dense/kernel")
    found["cls/predictions/transform/dense/bias"] = found.pop("bert/pooler/dense/bias")
    with pytest.raises(WeightsError) as caught:
        load_weights(bert(), found)
    assert {line.split(" ")[0] + " " + line.split(" ")[2 if "left" in line else 1] for line in caught.value.problems} == {
        "missing: pooler.dense.weight", "missing: pooler.dense.bias",
        "left cls/predictions/transform/dense/kernel", "left cls/predictions/transform/dense/bias",
    }  # fmt: skip


def test_a_fused_projection_is_not_put_together_from_three():
    """A checkpoint with q, k, v apart, a GPT-2 with one c_attn: both sides are named, nothing is loaded."""
    found = openai_gpt2(gpt2())
    for layer in range(3):
        for leaf in ("w", "b"):
            fused = found.pop(f"model/h{layer}/attn/c_attn/{leaf}")
            for letter, part in zip("qkv", np.split(fused, 3, axis=-1), strict=True):
                found[f"model/h{layer}/attn/{letter}/{leaf}"] = part
    with pytest.raises(WeightsError) as caught:
        load_weights(gpt2(), found)
    text = str(caught.value)
    assert len(caught.value.problems) == 3 * 2 + 3 * 6 and "missing: h.0.attn.c_attn.weight" in text
    assert "left over: model/h2/attn/v/w [1, 16, 16] float32" in text and "--write-map" in text


def test_applications_names_do_not_meet_and_nothing_is_guessed():
    """keras.applications calls the layers of a ResNet conv2_block1_1_conv: no name meets, many layers are alike."""
    found = {}
    for number, (name, array) in enumerate(keras_resnet(resnet()).items()):
        leaf = name.rpartition("/")[2]
        found[f"conv{2 + number // 40}_block{number % 40}_conv/{leaf}"] = array
    module = resnet()
    before = {n: p.clone() for n, p in module.named_parameters()}
    with pytest.raises(WeightsError, match=r"missing: embedder\.embedder\.convolution\.weight") as caught:
        load_weights(module, found)
    assert sum(line.startswith("left over") for line in caught.value.problems) == len(found)
    assert all(torch.equal(p, before[n]) for n, p in module.named_parameters())
