"""Modules as people have them: on the meta device, wrapped, compiled, half, with parametrizations, not to be written."""

import numpy as np
import pytest
import torch
from test_by_names import dense, holds, random, refused, tree
from torch import nn
from torch.nn.utils import parametrizations, prune
from twins import FOLDER, Cnn, error

from tfport.weights import WeightsError, load_weights


def net():
    module = tree(conv=nn.Conv2d(3, 4, 3), norm=nn.BatchNorm2d(4), emb=nn.Embedding(4, 4), fc=nn.Linear(4, 4))
    module["out"] = nn.Linear(4, 4)
    module["out"].weight = module["emb"].weight
    return module


def values():
    found = {
        "conv/kernel": random(3, 3, 3, 4),
        "conv/bias": random(4),
        "emb/embeddings": random(4, 4),
        "out/bias": random(4),
    }
    found |= {f"norm/{n}": random(4) for n in ("gamma", "beta", "moving_mean", "moving_variance")}
    return found | dense("fc")


def test_a_module_on_the_meta_device_gets_real_tensors():
    """It said it was loaded and stayed empty. What is shared stays shared, what is frozen frozen."""
    with torch.device("meta"):
        module = net()
    module["conv"].bias.requires_grad_(False)
    found = values()
    report = load_weights(module, found)
    assert len(report.loaded) == len(found) and all(not t.is_meta for t in module.state_dict().values())
    holds(module["fc"], found, "fc")
    assert module["out"].weight is module["emb"].weight and not module["conv"].bias.requires_grad
    assert module["norm"].num_batches_tracked == 0 and isinstance(module["fc"].weight, nn.Parameter)


def test_lazy_modules_on_the_meta_device_get_real_tensors():
    with torch.device("meta"):
        module = tree(fc=nn.LazyLinear(4))
    found = dense("fc", 3)
    load_weights(module, found)
    holds(module["fc"], found, "fc")


def test_what_stays_on_the_meta_device_is_an_error():
    """A buffer that no tensor fills would stay without values in silence; a parameter is missing already."""
    with torch.device("meta"):
        module = net()
        module.register_buffer("steps", torch.arange(3.0), persistent=False)
    for strict in (True, False):
        with pytest.raises(WeightsError, match="without values: steps is on the meta device"):
            load_weights(module, values(), strict=strict)
        assert all(t.is_meta for t in module.state_dict().values())
    del module.steps
    found = {key: value for key, value in values().items() if not key.startswith("fc")}
    report = load_weights(module, found, strict=False)
    assert set(report.missing) == {"fc.weight", "fc.bias"} and module["fc"].weight.is_meta
    assert not module["conv"].weight.is_meta


@pytest.mark.parametrize(
    "wrap",
    [nn.DataParallel, torch.compile, lambda m: torch.compile(nn.DataParallel(m)), torch.optim.swa_utils.AveragedModel],
)  # fmt: skip
def test_the_record_of_a_wrapped_module_is_found(wrap):
    """The names in it are the inner module's, those of the report the wrapper's."""
    inner = Cnn()
    wrapped = wrap(inner)
    report = load_weights(wrapped, FOLDER / "cnn.keras")
    inner = wrapped.module if isinstance(wrapped, torch.optim.swa_utils.AveragedModel) else inner
    assert error(inner, "cnn") < 1e-6
    assert {row.target for row in report.loaded} <= set(wrapped.state_dict())


@pytest.mark.parametrize(
    ("change", "kind", "name"),
    [
        (parametrizations.spectral_norm, "_SpectralNorm", "fc.parametrizations.weight.original"),
        (parametrizations.weight_norm, "_WeightNorm", "fc.parametrizations.weight.original0"),
        (nn.utils.spectral_norm, "SpectralNorm", "fc.weight_orig"),
        (nn.utils.weight_norm, "WeightNorm", "fc.weight_g"),
        (lambda m: prune.l1_unstructured(m, "weight", 0.5), "L1Unstructured", "fc.weight_orig"),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_weight_that_torch_computes_is_refused_with_what_to_do(change, kind, name):
    module = tree(fc=nn.Linear(4, 4))
    change(module["fc"])
    refused(
        module, dense("fc"), f"missing: {name}: fc: its weight is computed ({kind}): load the weights before"
    )


def test_the_parts_of_a_normalised_weight_are_given_by_a_map(tmp_path):
    """tfa's WeightNormalization has v and g, torch's weight_norm original1 and original0."""
    module = tree(fc=nn.Linear(4, 3))
    parametrizations.weight_norm(module["fc"])
    found = {"fc/v": random(4, 3), "fc/g": random(3), "fc/bias": random(3)}
    (tmp_path / "map.toml").write_text(
        '[[tensor]]\nsource = "fc/v"\ntarget = "fc.parametrizations.weight.original1"\npattern = "i o -> o i"\n'
        '[[tensor]]\nsource = "fc/g"\ntarget = "fc.parametrizations.weight.original0"\npattern = "o -> o 1"\n'
        '[[tensor]]\nsource = "fc/bias"\ntarget = "fc.bias"\npattern = "o -> o"\n'
    )
    load_weights(module, found, map=tmp_path / "map.toml")
    wanted = found["fc/g"] * found["fc/v"] / np.linalg.norm(found["fc/v"], axis=0)
    np.testing.assert_allclose(module["fc"].weight.detach().numpy(), wanted.T, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_a_module_of_another_dtype_says_how_to_cast(dtype):
    module = net().to(getattr(torch, dtype))
    text = str(refused(module, values(), f"the checkpoint has float32, the module {dtype}"))
    assert (
        "load it into the module in float32 (module.to(torch.float32))" in text and "--write-map" not in text
    )


def test_tensors_that_cannot_be_written_are_named_before_one_is():
    """torch refuses them in the middle of the copy, when half the module is new."""
    module = net()
    module["fc"].weight = nn.Parameter(torch.zeros(4, 1).expand(4, 4))
    refused(module, values(), "cannot be written: fc.weight is expanded")
    with torch.inference_mode():
        module = net()
    before = module["conv"].weight.clone()
    with pytest.raises(
        WeightsError, match=r"cannot be written: conv.weight was made under torch.inference_mode"
    ):
        load_weights(module, values())
    assert torch.equal(module["conv"].weight, before)
    with torch.inference_mode():
        load_weights(module, values())


def test_a_scripted_module_says_to_load_before():
    refused(torch.jit.script(nn.Linear(4, 4)), dense("fc"), "load the weights before torch.jit.script")
