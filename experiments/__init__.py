"""Studies of many runs, each started as `python -m experiments.NAME`."""

# Before Keras, which it has start in silence.
import fer as _fer  # noqa: F401
