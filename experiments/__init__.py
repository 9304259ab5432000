"""Studies of many runs, each started as `python -m experiments.NAME`."""
