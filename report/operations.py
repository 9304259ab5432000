"""What every layer of a network computes: sizes, formulas with their numbers, big-O.

The counting is that of `fer.complexity`, and so are the letters: side n in and m out,
kernel k, stride s, c channels in and f out.
"""

from keras import layers

from fer import complexity
from report.measure import derive, take


def describe_network(run):
    """Layer by layer, and in all.

    Returns:
        Dict of name, rows (dicts, see `describe_layer`), totals, weighted (how many
        layers have a kernel) and is_convolutional.
    """
    file, model = run.path, run.model
    rows = [describe_layer(file, layer) for layer in model.layers]
    totals = measure_size(run)
    for key in ("multiplications", "additions"):
        total = complexity.add_known(row[key] and row[key].value for row in rows)
        totals[key] = take(file, key, total)
    for row in rows:
        row["share"] = None
        if row["multiplications"] and totals["multiplications"]:
            row["share"] = derive(
                "ratio", row["multiplications"], totals["multiplications"]
            )
    weighted = [row for row in rows if row["formula"]]
    known = [row for row in weighted if row["share"]]
    return {
        "name": run.name,
        "rows": rows,
        "weighted": weighted,
        "totals": totals,
        "count": take(file, "layers with a kernel", len(weighted)),
        "costliest": max(known, key=lambda row: row["share"].value, default=None),
        "is_convolutional": run.is_convolutional,
    }


def measure_size(run):
    """Parameters and multiply-adds of a run's network, as Measures by name."""
    size = complexity.measure_size(run.model)
    return {key: take(run.path, key, value) for key, value in size.items()}


def describe_layer(file, layer):
    """One layer: kind, output, parameters, operations and, of a kernel, a formula."""
    multiplications, additions = complexity.count_operations(layer)

    def measure(key, value):
        return take(file, f"{layer.name}.{key}", value)

    row = {
        "layer": layer.name,
        "kind": type(layer).__name__,
        "output": measure("output", format_shape(layer.output.shape)),
        "parameters": measure("parameters", layer.count_params()),
        "multiplications": measure("multiplications", multiplications),
        "additions": measure("additions", additions),
        "formula": None,
        "kernel": None,
    }
    if type(layer) in (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D):
        row |= describe_convolution(layer, measure)
    elif type(layer) is layers.Dense:
        units_in, units_out = layer.kernel.shape
        row |= {
            "formula": "n · m",
            "numbers": measure("multiplications", f"{units_in} · {units_out}"),
            "order": "O(n m)",
        }
    return row


def describe_convolution(layer, measure):
    """The formulas of a convolution, with the numbers that stand for the letters.

    Args:
        layer: any of the three kinds of convolutions.
        measure: function from a key and a value to the Measure.
    """
    side, out = layer.input.shape[1], layer.output.shape[1]
    (kernel, across), (stride, _) = layer.kernel_size, layer.strides
    is_square = kernel == across and side == layer.input.shape[2]
    channels, filters = layer.input.shape[3], layer.output.shape[3]
    places, window = f"{out}²", f"{kernel}²"
    if not is_square:
        places, window = f"{out} · {layer.output.shape[2]}", f"{kernel} · {across}"
    if layer.padding == "same":
        side_formula, side_numbers = "m = ⌈n / s⌉", f"{out} = ⌈{side} / {stride}⌉"
    else:
        side_formula = "m = ⌊(n + 2 p − k) / s⌋ + 1"
        side_numbers = f"{out} = ⌊({side} + 2 · 0 − {kernel}) / {stride}⌋ + 1"
    return {
        "kernel": measure("kernel", f"{kernel}×{across}"),
        "stride": measure("stride", stride),
        "padding": layer.padding,
        "channels": measure("channels", channels),
        "filters": measure("filters", filters),
        "side_formula": side_formula,
        "side_numbers": measure("side", side_numbers),
        **describe_products(layer, measure, places, window, channels, filters),
    }


def describe_products(layer, measure, places, window, channels, filters):
    """The multiplications of a convolution of any of the three kinds, as formulas."""
    if type(layer) is layers.Conv2D:
        seen = channels // layer.groups
        formula, order = "m² k² c f", "O(m² k² c f)"
        if layer.groups > 1:
            formula, order = "m² k² (c / g) f", "O(m² k² c f / g)"
        numbers = f"{places} · {window} · {seen} · {filters}"
    elif type(layer) is layers.DepthwiseConv2D:
        formula, order = "m² k² f", "O(m² k² f)"
        numbers = f"{places} · {window} · {filters}"
    else:
        values = channels * layer.depth_multiplier
        formula, order = "m² d (k² + f)", "O(m² d (k² + f))"
        numbers = f"{places} · {values} · ({window} + {filters})"
    return {
        "formula": formula,
        "numbers": measure("multiplications", numbers),
        "order": order,
    }


def format_shape(shape):
    """A shape without the number of faces, such as 24×24×64."""
    return "×".join(map(str, shape[1:]))


def group_networks(networks):
    """Put networks together that differ in nothing that has weights.

    Args:
        networks: as `describe_network` returns them.

    Returns:
        A list of dicts like the first of each group, with the names of all.
    """
    groups = {}
    for network in networks:
        key = tuple(
            (row["kind"], row["output"].value, row["parameters"].value)
            for row in network["rows"]
            if row["parameters"].value
        )
        groups.setdefault(key, []).append(network)
    return [
        {**members[0], "names": [member["name"] for member in members]}
        for members in groups.values()
    ]
