"""How figures are written: a spread in a cell, aligned tables, JSON that a person can read."""

import json
import statistics


def spread(numbers, decimals):
    """Median (lowest-highest); None is a measurement that failed."""
    numbers = [number for number in numbers if number is not None]
    if not numbers:
        return "failed"
    low, middle, high = (f"{f(numbers):.{decimals}f}" for f in (min, statistics.median, max))
    return f"{middle} ({low}-{high})"


def aligned(rows):
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    )


def pretty(value, depth=3, indent=""):
    """JSON with a line for whatever is so many levels down: a search has dozens of trials."""
    if depth == 0 or not isinstance(value, dict):
        return json.dumps(value)
    inner = indent + " "
    lines = [f"{inner}{json.dumps(key)}: {pretty(item, depth - 1, inner)}"
             for key, item in value.items()]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
