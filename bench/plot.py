"""Charts as SVG text, with nothing but the standard library.

    line_chart(title, x_label, y_label, {"vethd": [(1, 0.04), (1000, 1.1)]}, log_x=True) -> str
    bar_chart(title, y_label, {"tcp": {"vethd": 0.7, "floor": (0.6, 0.5, 0.8)}}) -> str

A value may be a triple (middle, low, high): its spread is drawn as a thin line. Logarithmic axes
leave out what is not positive.
"""

import math
from html import escape

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 40, 84  # margins; the legend is below the axis
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]  # Okabe and Ito
TICKS = 6  # of a linear axis, about
CHARACTER = 6.5  # width of one at the font size used, about


def spread(value):
    """(middle, low, high) of a number or of such a triple."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value, value)


def number(value):
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


class Axis:
    """Values to pixels, and the ticks between."""

    def __init__(self, values, first, last, log=False):
        self.first, self.last, self.log = first, last, log
        if log:
            self.ticks = self._decades(min(values), max(values))
        else:
            self.ticks = self._steps(min(0, *values), max(0, *values) or 1)
        self.low, self.high = self._scaled(self.ticks[0]), self._scaled(self.ticks[-1])

    def _scaled(self, value):
        return math.log10(value) if self.log else value

    @staticmethod
    def _decades(low, high):
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        return [10.0**n for n in range(first, max(last, first + 1) + 1)]

    @staticmethod
    def _steps(low, high):
        rough = (high - low or 1) / TICKS
        decade = 10 ** math.floor(math.log10(rough))
        step = next(decade * n for n in (1, 2, 5, 10) if decade * n >= rough)
        return [n * step for n in range(math.floor(low / step), math.ceil(high / step) + 1)]

    def __call__(self, value):
        share = (self._scaled(value) - self.low) / (self.high - self.low)
        return round(self.first + share * (self.last - self.first), 1)


class Canvas:
    def __init__(self, title):
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
            f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        ]
        self.text(WIDTH / 2, TOP / 2, title, size=14)

    def text(self, x, y, what, anchor="middle", size=12, turn=0):
        turned = f' transform="rotate({turn} {x} {y})"' if turn else ""
        self.parts.append(f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}"'
                          f"{turned}>{escape(str(what))}</text>")

    def line(self, points, colour, width=1.0):
        path = " ".join(f"{x},{y}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" '
                          f'stroke-width="{width}"/>')

    def dot(self, x, y, colour):
        self.parts.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>')

    def box(self, x, y, width, height, colour):
        self.parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" '
                          f'fill="{colour}"/>')

    def y_axis(self, axis, label):
        for tick in axis.ticks:
            self.line([(LEFT, axis(tick)), (WIDTH - RIGHT, axis(tick))], "#dddddd")
            self.text(LEFT - 6, axis(tick) + 4, number(tick), anchor="end")
        self.text(16, (TOP + HEIGHT - BOTTOM) / 2, label, turn=-90)

    def legend(self, names):
        x = LEFT
        for name, colour in zip(names, COLOURS * len(names)):
            self.box(x, HEIGHT - 22, 12, 12, colour)
            self.text(x + 17, HEIGHT - 12, name, anchor="start")
            x += 36 + len(name) * CHARACTER

    def done(self):
        return "\n".join([*self.parts, "</svg>", ""])


def line_chart(title, x_label, y_label, series, log_x=False, log_y=False):
    """series: {name: [(x, y), ...]}, y a number or (middle, low, high)."""
    shown = {
        name: [(x, *spread(y)) for x, y in points
               if (not log_x or x > 0) and (not log_y or min(spread(y)) > 0)]
        for name, points in series.items()
    }
    points = [point for line in shown.values() for point in line]
    if not points:
        raise ValueError(f"nothing to draw in {title!r}")
    x_axis = Axis([p[0] for p in points], LEFT, WIDTH - RIGHT, log_x)
    y_axis = Axis([y for p in points for y in p[1:]], HEIGHT - BOTTOM, TOP, log_y)
    canvas = Canvas(title)
    canvas.y_axis(y_axis, y_label)
    for tick in x_axis.ticks:
        canvas.text(x_axis(tick), HEIGHT - BOTTOM + 16, number(tick))
    canvas.line([(LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, HEIGHT - BOTTOM)], "#333333")
    canvas.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 36, x_label)
    for colour, line in zip(COLOURS * len(shown), shown.values()):
        canvas.line([(x_axis(x), y_axis(y)) for x, y, _, _ in line], colour, 2)
        for x, y, low, high in line:
            canvas.dot(x_axis(x), y_axis(y), colour)
            if low != high:
                canvas.line([(x_axis(x), y_axis(low)), (x_axis(x), y_axis(high))], colour)
    canvas.legend(list(shown))
    return canvas.done()


def bar_chart(title, y_label, groups):
    """groups: {name: {series: value}}, a value a number or (middle, low, high)."""
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    values = [v for group in groups.values() for value in group.values() for v in spread(value)]
    if not values:
        raise ValueError(f"nothing to draw in {title!r}")
    y_axis = Axis(values, HEIGHT - BOTTOM, TOP)
    canvas = Canvas(title)
    canvas.y_axis(y_axis, y_label)
    room = (WIDTH - LEFT - RIGHT) / len(groups)
    width = round(room * 0.8 / len(names), 1)
    for n, (group, bars) in enumerate(groups.items()):
        start = LEFT + n * room + room * 0.1
        canvas.text(round(start + room * 0.4, 1), HEIGHT - BOTTOM + 16, group)
        for i, name in enumerate(names):
            if name not in bars:
                continue
            middle, low, high = spread(bars[name])
            x = round(start + i * width, 1)
            top, bottom = y_axis(max(middle, 0)), y_axis(min(middle, 0))
            canvas.box(x, top, max(width - 2, 1), round(bottom - top, 1),
                       COLOURS[i % len(COLOURS)])
            if low != high:
                centre = round(x + width / 2 - 1, 1)
                canvas.line([(centre, y_axis(low)), (centre, y_axis(high))], "#333333")
    canvas.line([(LEFT, y_axis(0)), (WIDTH - RIGHT, y_axis(0))], "#333333")
    canvas.legend(names)
    return canvas.done()
