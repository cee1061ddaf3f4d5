"""What to do about a name that has no rule, by the longest matching prefix."""

from __future__ import annotations

ADVICE = {
    "tf.Session": "turn the graph into a function and the run into a call",
    "tf.InteractiveSession": "turn the graph into a function and the run into a call",
    "tf.placeholder": "make it an argument of a function",
    "tf.placeholder_with_default": "make it an argument with a default",
    "tf.variable_scope": "make the scope an nn.Module that owns its parameters",
    "tf.get_variable": "make it an nn.Parameter of the module that uses it",
    "tf.get_variable_scope": "make the scope an nn.Module that owns its parameters",
    "tf.AUTO_REUSE": "call the same nn.Module twice to share its weights",
    "tf.name_scope": "drop it: PyTorch has no graph names",
    "tf.control_dependencies": "drop it: PyTorch runs statements in order",
    "tf.group": "drop it: PyTorch runs statements in order",
    "tf.global_variables_initializer": "drop it: parameters are initialised when modules are made",
    "tf.local_variables_initializer": "drop it: parameters are initialised when modules are made",
    "tf.trainable_variables": "use list(module.parameters())",
    "tf.global_variables": "use module.state_dict()",
    "tf.get_collection": "keep a list of your own",
    "tf.add_to_collection": "keep a list of your own",
    "tf.GraphKeys": "keep a list of your own",
    "tf.get_default_graph": "drop it: PyTorch has no graph",
    "tf.Graph": "drop it: PyTorch has no graph",
    "tf.GraphDef": "read the weights with `tfport weights` and the architecture from its source",
    "tf.ConfigProto": "drop it: devices are chosen with .to(device)",
    "tf.GPUOptions": "drop it: devices are chosen with .to(device)",
    "tf.device": "place modules and tensors with .to(device)",
    "tf.layers": "make it a module of torch.nn, created once and called in forward",
    "tf.contrib.layers": "make it a module of torch.nn, created once and called in forward",
    "tf.contrib.slim": "make it a module of torch.nn, created once and called in forward",
    "tf.contrib": "tf.contrib is gone since TensorFlow 2; look for the function in torch or torchvision",
    "tf.data": "use torch.utils.data.Dataset and DataLoader",
    "tfds": "use torchvision.datasets, Hugging Face datasets or files of your own",
    "tf.keras.datasets": "use torchvision.datasets or files of your own",
    "tf.estimator": "write the model as nn.Module and the training as a loop",
    "tf.train.Saver": "use torch.save(module.state_dict(), path); `tfport weights` reads the old checkpoint",
    "tf.train.Checkpoint": "use torch.save(module.state_dict(), path); `tfport weights` reads the old checkpoint",
    "tf.train.latest_checkpoint": "name the file yourself; `tfport weights` reads the old checkpoint",
    "tf.train": "see torch.optim and torch.utils.data",
    "tf.summary": "use torch.utils.tensorboard.SummaryWriter",
    "tf.distribute": "use torch.nn.parallel.DistributedDataParallel under torchrun",
    "tf.tpu": "there is no TPU counterpart in torch itself; see torch_xla",
    "tf.config": "choose devices with torch.cuda and .to(device)",
    "tf.keras.callbacks": "write it into the training loop",
    "tf.keras.preprocessing.image": "use torchvision.transforms.v2 and torchvision.datasets.ImageFolder",
    "tf.keras.models.load_model": "build the converted module and read the file with tfport.load_weights",
    "tf.saved_model": "build the converted module and read the variables with tfport.load_weights",
    "tfhub": "build the converted module and read the variables with tfport.load_weights",
    "tf.gfile": "use pathlib, open and shutil",
    "tf.io.gfile": "use pathlib, open and shutil",
    "tf.app.run": "call main()",
    "tf.flags": "use absl.flags or argparse",
    "tf.logging": "use the logging module",
    "tf.parse_single_example": "read the records in a Dataset of your own",
    "tf.io.parse_single_example": "read the records in a Dataset of your own",
    "tf.SparseTensor": "use torch.sparse_coo_tensor",
    "tf.sparse": "use torch.sparse",
    "tf.ragged": "use torch.nested or padding with a mask",
    "tf.RaggedTensor": "use torch.nested or padding with a mask",
    "tf.strings": "use Python's str methods",
    "tf.string": "keep strings out of tensors",
    "tf.lookup": "use a dict",
    "tfp": "see torch.distributions",
    "tfa": "look for the function in torch or torchvision",
    "snt": "make it a module of torch.nn",
}


def advice(name: str) -> str:
    """What to do about ``name``; empty when there is nothing better than reading PyTorch's documentation."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        found = ADVICE.get(".".join(parts[:end]))
        if found:
            return found
    return "port it by hand, or write a rule and pass --rules DIR"
