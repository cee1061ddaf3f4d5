"""What has no port stays under a mark, and everything else runs."""
import torch
from tfport import compat
tf = compat.unported("tensorflow")


# tfport: TODO[TFP105] tf.keras.utils: a TensorFlow module is used as a value; name the functions that are meant
# tfport: TODO[TFP101] tf.keras.utils.Unheard: no rule for this name yet; port it by hand, or write a rule and pass --rules DIR
class Reader(tf.keras.utils.Unheard if hasattr(tf.keras.utils, "Unheard") else object):
    pass


def rarely(x, flag=False):
    # tfport: TODO[TFP101] tf.unheard_of: no rule for this name yet; port it by hand, or write a rule and pass --rules DIR
    if flag: return tf.unheard_of(x)
    elif x is None:
        # tfport: TODO[TFP101] tf.unheard_of.either: no rule for this name yet; port it by hand, or write a rule and pass --rules DIR
        return tf.unheard_of.either(
            x,
            compat.square(2.0),
        )
    return torch.square(x)


# tfport: TODO[TFP101] tf.raw_ops.UnheardOf: no rule for this name yet; port it by hand, or write a rule and pass --rules DIR
def text(): a = """x
y"""; return tf.raw_ops.UnheardOf(x=a) if False else a


print(float(rarely(torch.tensor(3.0))), len(text()))
