"""What plot.py draws is SVG, and where it says it is."""

import unittest
import xml.etree.ElementTree as xml

import plot

SVG = "{http://www.w3.org/2000/svg}"


def drawn(svg, what):
    return xml.fromstring(svg).findall(SVG + what)


def centres(svg):
    return [(float(dot.get("cx")), float(dot.get("cy"))) for dot in drawn(svg, "circle")]


class LineChart(unittest.TestCase):
    def test_has_a_dot_for_each_point_and_a_name_for_each_series(self):
        svg = plot.line_chart("t", "x", "y", {"one": [(0, 1), (1, 2)], "a < b": [(0, 3)]})
        self.assertEqual(len(centres(svg)), 3)
        texts = [text.text for text in drawn(svg, "text")]
        self.assertIn("one", texts)
        self.assertIn("a < b", texts)

    def test_puts_powers_of_ten_at_equal_distances_on_a_logarithmic_axis(self):
        line = [(1, 1), (10, 10), (100, 100)]
        (x0, y0), (x1, y1), (x2, y2) = centres(
            plot.line_chart("t", "x", "y", {"s": line}, log_x=True, log_y=True))
        self.assertAlmostEqual(x1 - x0, x2 - x1, delta=0.2)
        self.assertAlmostEqual(y0 - y1, y1 - y2, delta=0.2)
        self.assertLess(y2, y0)  # up is less

    def test_leaves_out_what_a_logarithmic_axis_cannot_show(self):
        self.assertEqual(len(centres(
            plot.line_chart("t", "x", "y", {"s": [(0, 1), (1, 1)]}, log_x=True))), 1)

    def test_draws_zeros(self):
        self.assertEqual(len(centres(plot.line_chart("t", "x", "y", {"s": [(1, 0), (2, 0)]}))), 2)

    def test_refuses_to_draw_nothing(self):
        with self.assertRaises(ValueError):
            plot.line_chart("t", "x", "y", {"s": []})


class BarChart(unittest.TestCase):
    def test_makes_bars_as_high_as_their_values(self):
        svg = plot.bar_chart("t", "y", {"g": {"one": 1, "two": (2, 1.5, 2.5)}})
        background, one, two, *legend = drawn(svg, "rect")
        self.assertEqual(len(legend), 2)
        self.assertAlmostEqual(float(two.get("height")), 2 * float(one.get("height")), delta=0.3)


if __name__ == "__main__":
    unittest.main()
