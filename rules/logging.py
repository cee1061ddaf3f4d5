"""tf.logging as Python's logging: one logger, TensorFlow's levels, which are Python's."""

from __future__ import annotations

from tfport.compat import log as _log
from tfport.rule import prove, rule

CONSTANTS = {
    "tf.logging.DEBUG": 10,
    "tf.logging.INFO": 20,
    "tf.logging.WARN": 30,
    "tf.logging.ERROR": 40,
    "tf.logging.FATAL": 50,
}


@rule("tf.logging.info", returns="python", pure=False)
@prove("step %d of %s", 3, "ten")
@prove("100 %")
def info(msg, *args, **kwargs):
    """Logs at level INFO."""
    _log.logger().info(msg, *args, **kwargs)


@rule("tf.logging.debug", returns="python", pure=False)
@prove("step %d", 3)
def debug(msg, *args, **kwargs):
    """Logs at level DEBUG."""
    _log.logger().debug(msg, *args, **kwargs)


@rule("tf.logging.warning", "tf.logging.warn", returns="python", pure=False)
@prove("step %d", 3)
def warning(msg, *args, **kwargs):
    """Logs at level WARNING."""
    _log.logger().warning(msg, *args, **kwargs)


@rule("tf.logging.error", returns="python", pure=False)
@prove("step %d", 3)
def error(msg, *args, **kwargs):
    """Logs at level ERROR."""
    _log.logger().error(msg, *args, **kwargs)


@rule("tf.logging.fatal", returns="python", pure=False)
@prove("step %d", 3)
def fatal(msg, *args, **kwargs):
    """Logs at level CRITICAL; the program goes on, as in TensorFlow."""
    _log.logger().critical(msg, *args, **kwargs)


@rule("tf.logging.log", "tf.logging.vlog", returns="python", pure=False)
@prove(20, "step %d", 3)
def log(level, msg, *args, **kwargs):
    """Logs at a level given by its number."""
    _log.logger().log(level, msg, *args, **kwargs)


@rule("tf.logging.log_if", returns="python", pure=False)
@prove(20, "step %d", True, 3)
@prove(20, "step %d", False, 3)
def log_if(level, msg, condition, *args):
    """Logs if the condition is true."""
    if condition:
        _log.logger().log(level, msg, *args)


@rule("tf.logging.log_every_n", returns="python", pure=False)
@prove(20, "step %d", 2, 3)
def log_every_n(level, msg, n, *args):
    """Logs at the first of every ``n`` calls of the same place in the program."""
    if _log.calls_before() % n == 0:
        _log.logger().log(level, msg, *args)


@rule("tf.logging.log_first_n", returns="python", pure=False)
@prove(20, "step %d", 2, 3)
def log_first_n(level, msg, n, *args):
    """Logs at the first ``n`` calls of the same place in the program."""
    if _log.calls_before() < n:
        _log.logger().log(level, msg, *args)


@rule("tf.logging.set_verbosity", returns="python", pure=False)
@prove(40)
def set_verbosity(v):
    """The level below which nothing is logged."""
    _log.logger().setLevel(v)


@rule("tf.logging.get_verbosity", returns="python")
@prove()
def get_verbosity():
    """The level below which nothing is logged; WARN at first. (The proof runs after set_verbosity's.)"""
    return _log.logger().getEffectiveLevel()


@rule("tf.get_logger", returns="python")
@prove()
def get_logger():
    """The logger that tf.logging writes to, a logging.Logger that keeps the name "tensorflow"."""
    return _log.logger()
