"""Figures: one colour an optimizer, one SVG for light and dark, and a race that needs nothing but itself."""

import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

import numpy as np
import pytest

mpl = pytest.importorskip("matplotlib")
mpl.use("agg")

import matplotlib.pyplot as plt  # noqa: E402  (the backend is chosen first)

from lossopt import plot  # noqa: E402
from lossopt.compare import Comparison, Result  # noqa: E402
from lossopt.landscapes import LANDSCAPES  # noqa: E402
from lossopt.rules import RULES  # noqa: E402
from lossopt.tensor import tensor  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def figures():
    """Draw in the style of the package and leave no figure open."""
    with mpl.rc_context():
        plot.use_style()
        yield
    plt.close("all")


def descent(landscape, rate=0.01, steps=120):
    """Gradient descent by hand, so that these tests lean on no driver."""
    points = [np.array(landscape.start)]
    with np.errstate(all="ignore"):
        for _ in range(steps):
            points.append(points[-1] - rate * np.array(landscape.gradient(*points[-1])))
    return np.array(points)


def comparison():
    rates = np.array([0.1, 0.2, 0.4])
    results = {
        "sgd": Result(
            rates, np.array([[4, 5], [2, 3], [np.inf, 9.0]]), 1, 0.001, np.array([2.0, 4]), np.array([9.0, 8])
        ),
        "adam": Result(
            rates, np.array([[4, 4], [1, 1], [2, 2.0]]), 1, 0.001, np.array([1.0, 2]), np.array([np.inf, 3])
        ),
    }
    return Comparison("p", "error", 10, (0, 1), (2, 3), results)


# Colours ----------------------------------------------------------------------------------------------------


def linear(color):
    channels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """WCAG's contrast ratio."""
    dark, light = sorted(0.05 + linear(color) @ [0.2126, 0.7152, 0.0722] for color in (one, other))
    return light / dark


@pytest.mark.parametrize("color", plot.PALETTE)
def test_a_line_reads_on_a_light_and_on_a_dark_page(color):
    assert contrast(color, "#ffffff") >= 3
    assert contrast(color, "#121212") >= 3


# Machado, Oliveira and Fernandes (2009), doi:10.1109/TVCG.2009.113, full severity, in linear RGB.
CONES = {
    "all": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.mark.parametrize("cones", CONES)
def test_no_two_colours_of_the_palette_look_alike_whatever_cones_the_reader_has(cones):
    to_lms = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566]]
    to_lms.append([0.0883024619, 0.2817188376, 0.6299787005])
    to_lab = [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099]]
    to_lab.append([0.0259040371, 0.7827717662, -0.8086757660])
    seen = np.clip([np.array(CONES[cones]) @ linear(color) for color in plot.PALETTE], 0, 1)
    lab = np.cbrt(seen @ np.transpose(to_lms)) @ np.transpose(to_lab)

    distances = np.linalg.norm(lab[:, None] - lab, axis=-1)[~np.eye(len(lab), dtype=bool)]
    assert distances.min() > 0.09  # in Oklab, where about 0.02 is just noticeable


def test_a_rule_has_one_style_whatever_stands_beside_it():
    alone = {name: plot.styles([name])[name] for name in RULES}

    assert plot.styles(RULES) == alone
    assert plot.styles(reversed(list(RULES))) == alone


def test_no_two_rules_share_colour_and_dash():
    looks = [(style["color"], style["dashes"]) for style in plot.styles(RULES).values()]

    assert len(set(looks)) == len(looks)


def test_a_label_that_is_no_rule_takes_a_style_that_is_free():
    found = plot.styles(["adam", "lr = 0.1", "sgd", "lr = 0.2"])

    assert len({(style["color"], style["dashes"]) for style in found.values()}) == 4
    assert found["adam"] == plot.styles(["adam"])["adam"]


# Figures of matplotlib --------------------------------------------------------------------------------------


def svg_of(ax, tmp_path, name="figure.svg"):
    ax.figure.savefig(tmp_path / name, metadata={"Date": None})
    return (tmp_path / name).read_text()


def test_a_figure_has_one_ink_no_ground_and_the_same_bytes_every_time(tmp_path):
    landscape = LANDSCAPES["himmelblau"]
    first = svg_of(plot.paths(landscape, {"sgd": descent(landscape)}), tmp_path)
    again = svg_of(plot.paths(landscape, {"sgd": descent(landscape)}), tmp_path, "again.svg")

    assert first == again
    assert len(first) < 150_000
    ET.fromstring(first)
    colors = set(re.findall(r"(?:stroke|fill): (#[0-9a-f]{6})", first))
    assert colors == {plot.INK, plot.styles(["sgd"])["sgd"]["color"]}
    assert ">sgd</text>" in first  # text stays text


@pytest.mark.parametrize("name", LANDSCAPES)
def test_every_landscape_has_contours_over_its_window(name):
    landscape = LANDSCAPES[name]
    ax = plot.contours(landscape)

    assert (ax.get_xlim(), ax.get_ylim()) == landscape.window
    lines = [line.get_xydata() for line in ax.lines if line.get_marker() == "None"]
    assert len(lines) >= 10
    size = np.ptp(landscape(*np.meshgrid(*(np.linspace(*side, 240) for side in landscape.window))))
    for line in lines:  # along a contour line the height is the same
        assert np.ptp(landscape(*line.T)) < 3e-3 * size
    ring = next(line for line in ax.lines if line.get_marker() == "o")
    np.testing.assert_array_equal(ring.get_xydata(), [landscape.start])
    stars = [line for line in ax.lines if line.get_marker() == "*"]
    assert [tuple(line.get_xydata()[0]) for line in stars] == [minimum[:2] for minimum in landscape.minima]


def test_a_path_is_drawn_point_for_point_in_its_style():
    landscape = LANDSCAPES["booth"]
    points = descent(landscape)
    ax = plot.paths(landscape, {"adam": points})

    line = next(line for line in ax.lines if line.get_label() == "adam")
    np.testing.assert_array_equal(line.get_xydata(), points)
    assert line.get_color() == plot.styles(["adam"])["adam"]["color"]


def test_a_path_that_flees_is_cut_where_it_left_the_drawing_far_behind():
    landscape = LANDSCAPES["booth"]
    points = descent(landscape, rate=0.5)
    assert not np.isfinite(points[-1]).all() or abs(points[-1]).max() > 1e6

    ax = plot.paths(landscape, {"sgd": points})
    drawn = next(line for line in ax.lines if line.get_label() == "sgd").get_xydata()
    assert 2 <= len(drawn) < len(points)
    np.testing.assert_array_equal(drawn, points[: len(drawn)])
    assert (abs(drawn[:-1]) <= 30).all()
    assert (abs(drawn[-1]) > 30).any()


def test_a_path_ends_before_its_first_point_that_is_not_finite():
    landscape = LANDSCAPES["booth"]
    points = descent(landscape)
    points[7:] = np.inf
    ax = plot.paths(landscape, {"sgd": points})

    drawn = next(line for line in ax.lines if line.get_label() == "sgd").get_xydata()
    np.testing.assert_array_equal(drawn, points[:7])


def test_curves_draw_every_loss_and_leave_out_what_is_not_finite():
    ax = plot.curves({"sgd": [4.0, 2.0, np.inf], "adam": np.array([[3.0, 4.0], [1.0, 2.0]])})

    sgd, first, second = (line.get_ydata() for line in ax.lines)
    np.testing.assert_array_equal(sgd, [4, 2, np.nan])
    np.testing.assert_array_equal([first, second], [[3, 1], [4, 2]])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["sgd", "adam"]
    assert ax.get_yscale() == "log"


def test_sensitivity_draws_the_mean_by_rate_and_marks_the_choice():
    ax = plot.sensitivity(comparison())

    curve, choice, default = ax.lines[:3]
    np.testing.assert_array_equal(curve.get_xydata(), [[0.1, 4.5], [0.2, 2.5], [0.4, np.nan]])
    np.testing.assert_array_equal(choice.get_xydata(), [[0.2, 2.5]])
    assert default.get_xdata()[0] == 0.001
    assert ax.get_xscale() == "log"


def test_intervals_are_drawn_best_on_top_and_only_where_they_are_finite():
    ax = plot.intervals(comparison())

    assert [label.get_text() for label in ax.get_yticklabels()] == ["sgd", "adam"]  # from the bottom up
    centres = [tuple(container.lines[0].get_xydata()[0]) for container in ax.containers]
    assert centres == [(3.0, 0.0), (8.5, 0.0), (1.5, 1.0)]  # adam diverged once at its default rate


def test_a_profile_is_drawn_as_steps_that_rise_where_a_rule_comes_within_the_factor():
    scores = {"sgd": [1.0, 30.0, 0.2, 5.0, np.nan], "adam": [2.0, 10.0, 0.2, 39.5, 4.0]}

    ax = plot.profile(scores, upto=8)

    sgd, adam = ax.lines
    np.testing.assert_allclose(sgd.get_xydata(), [[1, 0.6], [2, 0.6], [3, 0.8], [7.9, 0.8], [8, 0.8]])
    np.testing.assert_allclose(adam.get_xydata(), [[1, 0.6], [2, 0.8], [3, 0.8], [7.9, 1], [8, 1]])
    assert ax.get_ylim()[0] == 0
    assert {line.get_drawstyle() for line in ax.lines} == {"steps-post"}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["sgd", "adam"]
    assert (ax.get_xscale(), ax.get_xlim()) == ("log", (1, 8))


@pytest.mark.parametrize(
    ("scores", "upto", "message"),
    [
        ({"sgd": [1.0]}, 1.0, "profile: upto must be a number above 1, got 1"),
        ({"sgd": [1.0]}, np.inf, "profile: upto must be a number above 1, got inf"),
        ({"sgd": [0.0]}, 2.0, "must be positive"),
    ],
)
def test_a_profile_that_cannot_be_drawn_is_refused_before_there_is_a_figure(scores, upto, message):
    before = plt.get_fignums()
    with pytest.raises(ValueError, match=message):
        plot.profile(scores, upto=upto)
    assert plt.get_fignums() == before


@pytest.mark.parametrize(
    ("lowest", "ticks"), [(4.0, ["5", "10", "20", "50", "100"]), (14.0, ["15", "20", "30", "50", "70"])]
)
def test_positive_scores_lie_on_a_logarithmic_axis_with_ticks_between_the_powers_of_ten(lowest, ticks):
    figure, ax = plt.subplots()
    ax.plot([1, 2], [lowest, 90.0])
    plot._spread(ax.yaxis, [lowest, 90.0, np.inf])
    figure.canvas.draw()

    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "log")
    low, high = ax.get_ylim()
    shown = [label.get_text() for label in ax.get_yticklabels() if low <= label.get_position()[1] <= high]
    assert shown == ticks


def test_scores_that_reach_zero_keep_a_linear_axis():
    _, ax = plt.subplots()
    plot._spread(ax.yaxis, [0.0, 90.0])
    assert ax.get_yscale() == "linear"


def test_contours_without_a_line_are_refused():
    with pytest.raises(ValueError, match="at least one line is needed, got 0"):
        plot.contours(LANDSCAPES["booth"], lines=0)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((5, 3)), r"sgd: a path to draw has shape \(steps \+ 1, 2\), got \(5, 3\)"),
        (np.zeros((5, 2, 4)), r"got \(5, 2, 4\)"),
        (np.full((5, 2), 1e4), "sgd: the path starts outside the window"),
    ],
)
def test_what_is_no_path_in_the_plane_is_refused_by_name(points, message):
    with pytest.raises(ValueError, match=message):
        plot.race(LANDSCAPES["booth"], {"sgd": points})
    with pytest.raises(ValueError, match=message):
        plot.paths(LANDSCAPES["booth"], {"sgd": points})


# Graphs -----------------------------------------------------------------------------------------------------


def neuron():
    values = {"w1": 0.5, "x1": 2.0, "w2": -1.0, "x2": 1.0, "b": 0.25, "y": 1.0}
    names = {name: tensor(value, requires_grad=name[0] in "wb") for name, value in values.items()}
    w1, x1, w2, x2, b, y = names.values()
    p = (w1 * x1 + w2 * x2 + b).sigmoid()
    return (p - y) ** 2, {**names, "p": p}


def drawn_boxes(ax):
    """What is written in each framed box, from top to bottom, and the box."""
    inside = {}
    for frame in (patch for patch in ax.patches if isinstance(patch, mpl.patches.Rectangle) and not patch.get_alpha()):
        (x0, y0), x1, y1 = frame.get_xy(), frame.get_x() + frame.get_width(), frame.get_y() + frame.get_height()
        texts = [text for text in ax.texts if x0 <= text.get_position()[0] <= x1 and y0 <= text.get_position()[1] <= y1]
        texts.sort(key=lambda text: text.get_position()[1])
        inside[tuple(text.get_text() for text in texts)] = frame
    return inside


def test_a_graph_shows_operations_values_and_gradients_from_the_leaves_to_the_result():
    ax = plot.graph(*neuron())

    boxes = drawn_boxes(ax)
    inputs = [("w1", "0.5", "−0.431"), ("x1", "2"), ("w2", "−1", "−0.216"), ("x2", "1"), ("b", "0.25", "−0.216")]
    inner = [("×", "1", "−0.216"), ("×", "−1", "−0.216"), ("+", "0", "−0.216"), ("+", "0.25", "−0.216")]
    last = [("sigmoid", "0.562", "−0.876"), ("y", "1"), ("−", "−0.438", "−0.876"), ("^2", "0.192", "1")]
    assert set(boxes) == {*inputs, *inner, *last, ("$x$", r"$\bar{x}$")}
    assert "p" in {text.get_text() for text in ax.texts}  # above its box
    left = [boxes[text].get_x() for text in (inputs[0], inner[0], *inner[2:], last[0], *last[2:])]
    assert left == sorted(set(left))
    assert [text for text in inputs + last if boxes[text].get_linewidth() > 1] == [inputs[0], inputs[2], inputs[4]]


def test_the_boxes_of_a_graph_lie_apart_and_each_argument_has_its_arrow():
    x = tensor(3.0, requires_grad=True)
    ax = plot.graph((x + 2 * x.square()).exp() / (1 + x), {"x": x})

    frames = [frame.get_bbox() for frame in drawn_boxes(ax).values()]
    assert len(frames) == 8  # one leaf, six operations, the key
    assert not any(one.overlaps(other) for i, one in enumerate(frames) for other in frames[:i])
    arrows = [patch for patch in ax.patches if isinstance(patch, mpl.patches.FancyArrowPatch)]
    assert len(arrows) == 9  # 2 for the square, 1 each for the product, the exponential and 1 + x, 2 for +, 2 for /
    for arrow in arrows:  # none runs through a box
        points = arrow.get_path().interpolated(20).vertices[1:-1]
        for frame in frames:
            inside = (points > frame.min + 1).all(axis=1) & (points < frame.max - 1).all(axis=1)
            assert not inside.any()


def test_a_graph_without_gradients_shows_none_and_needs_no_key():
    ax = plot.graph(*neuron(), gradients=False)
    assert set(map(len, drawn_boxes(ax))) == {2}


def test_a_graph_shows_several_elements_by_their_shape():
    w, x = tensor(np.ones((3, 2)), requires_grad=True), tensor(np.ones(2))
    boxes = drawn_boxes(plot.graph((w * x).relu(), {"w": w, "x": x}))

    assert {("w", "(3, 2)", "(3, 2)"), ("x", "(2,)"), ("relu", "(3, 2)", "(3, 2)")} < set(boxes)


def test_a_graph_is_an_svg_of_one_ink_and_of_the_same_bytes_every_time(tmp_path):
    first, again = (svg_of(plot.graph(*neuron()), tmp_path) for _ in range(2))

    assert first == again
    assert len(first) < 60_000
    assert set(re.findall(r"(?:stroke|fill): (#[0-9a-f]{6})", first)) == {plot.INK, plot.PALETTE[0]}
    assert ">sigmoid</text>" in first


def test_a_graph_refuses_the_name_of_a_tensor_that_has_no_part_in_it():
    x, stale = tensor(1.0, requires_grad=True), tensor(2.0, requires_grad=True)
    with pytest.raises(ValueError, match="not computed from stale"):
        plot.graph(x * x, {"x": x, "stale": stale})


def test_a_graph_needs_a_record():
    with pytest.raises(ValueError, match="was not computed from one with requires_grad=True"):
        plot.graph(tensor(1.0) + 1)


# The race ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LANDSCAPES)
def test_a_race_is_small_the_same_on_every_build_and_asks_nobody_for_anything(name):
    landscape = LANDSCAPES[name]
    runs = {rule: descent(landscape, 0.002 * (i + 1)) for i, rule in enumerate(list(RULES)[:6])}

    html = plot.race(landscape, runs)._repr_html_()
    assert html == plot.race(landscape, runs)._repr_html_()
    assert len(html.encode()) < 100_000
    assert not re.search(r"https?:|//|@import|\bimport\b|fetch|src=", html)
    assert "id=" not in html  # several players share a page


def test_without_a_script_the_finished_paths_are_there_and_no_dead_control():
    landscape = LANDSCAPES["booth"]
    points = descent(landscape)
    html = plot.race(landscape, {"sgd": points, "adam": points[:50]})._repr_html_()

    trails = re.findall(r'<polyline class="race-trail" points="([^"]*)"', html)
    assert [len(trail.split()) for trail in trails] == [121, 50]
    # The window [-10, 10]^2 on 400 x 340 pixels, y upwards.
    drawn = np.array([[float(v) for v in point.split(",")] for point in trails[0].split()])
    np.testing.assert_allclose(drawn, (points - (-10, 10)) * (20, -17), atol=0.051)
    last = re.findall(r'<circle class="race-dot" cx="([^"]*)" cy="([^"]*)"', html)[0]
    np.testing.assert_array_equal([float(v) for v in last], drawn[-1])
    assert '<div class="race-controls" hidden>' in html
    assert 'data-steps="120"' in html


@pytest.mark.parametrize("name", LANDSCAPES)
def test_the_contours_of_a_race_run_along_the_landscape(name):
    landscape = LANDSCAPES[name]
    still = plot.race(landscape, {"sgd": descent(landscape, 0.001)}).still()
    (x0, x1), (y0, y1) = landscape.window
    field = float(ET.fromstring(still).find(f"{SVG}svg").get("height"))
    size = np.ptp(landscape(*np.meshgrid(np.linspace(x0, x1), np.linspace(y0, y1))))

    lines = re.search(r'<path d="(M[^"]*)" transform="scale\(.1\)"', still)[1].removeprefix("M").split("M")
    assert len(lines) >= 8
    for line in lines:
        numbers = np.array(re.findall(r"-?\d+", line), float).reshape(-1, 2)
        x, y = (np.cumsum(numbers, axis=0) / 10 / (400, field)).T
        heights = landscape(x0 + x * (x1 - x0), y1 - y * (y1 - y0))
        assert np.ptp(heights) < 0.02 * size


def test_the_still_is_a_drawing_of_its_own_with_names_and_label():
    landscape = LANDSCAPES["himmelblau"]
    still = plot.race(landscape, {"sgd": descent(landscape), "a<b": descent(landscape, 0.02)}).still()

    root = ET.fromstring(still)
    assert root.get("aria-label") == "himmelblau: sgd, a<b"
    assert root.get("color") == plot.INK
    assert len(root.findall(f".//{SVG}polyline")) == 2
    assert {text.text for text in root.iter(f"{SVG}text")} >= {"sgd", "a<b", "(-5, -5)", "(5, 5)"}
    assert len(root.findall(f".//{SVG}polygon")) == 4  # the minima
    assert "<script" not in still


def two_groups(landscape, steps=120):
    """The runs of eight rules, twice: the second group is slower and has one rule less."""
    names = list(RULES)[:8]
    fast = {name: descent(landscape, 0.002 * (i + 1), steps) for i, name in enumerate(names)}
    slow = {name: descent(landscape, 0.0002 * (i + 1), steps // 2) for i, name in enumerate(names[:7])}
    return {"lr*": fast, "lr": slow}


def test_groups_of_runs_race_in_panels_with_one_key_and_one_clock():
    landscape = LANDSCAPES["booth"]
    groups = two_groups(landscape)
    html = plot.race(landscape, groups)._repr_html_()

    picture = html.split('<div class="race-controls"')[0]
    views = re.findall(r'<svg(?: class="(.*?)")? viewBox="(.*?)">', picture)
    # Panels are 300 x 255 with 10 between; the key has four rows.
    assert views == [("", "0 0 300 255"), ("", "310 0 300 255"), ("race-key", "0 255 400 88")]
    first, second, key = re.split(r"<svg[^>]* viewBox", picture)[1:]
    for group, panel in zip(groups, (first, second), strict=True):
        assert f">{group}</text>" in panel
        trails = re.findall(r'<polyline class="race-trail" points="([^"]*)"', panel)
        assert [len(trail.split()) for trail in trails] == [len(points) for points in groups[group].values()]
        assert panel.count('class="race-dot"') == len(trails)
        drawn = np.array([[float(v) for v in point.split(",")] for point in trails[-1].split()])
        points = list(groups[group].values())[-1]
        np.testing.assert_allclose(drawn, (points - (-10, 10)) * (15, -12.75), atol=0.051)
    assert re.findall(r"<text[^>]*>(.*?)</text>", key) == list(groups["lr*"])
    assert html.count('type="range"') == 1
    assert 'data-steps="120"' in html
    assert 'aria-label="booth, lr*, lr: sgd, ' in picture


def test_the_still_of_two_groups_holds_both_panels_and_the_key():
    landscape = LANDSCAPES["booth"]
    groups = two_groups(landscape)
    root = ET.fromstring(plot.race(landscape, groups).still())

    assert root.get("viewBox") == "0 0 610 343"
    panels = root.findall(f"{SVG}svg")
    assert [panel.get("x") for panel in panels] == ["0", "310"]
    assert [len(panel.findall(f"{SVG}polyline")) for panel in panels] == [8, 7]
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"lr*", "lr", "(10, 10)"} < set(texts)
    assert texts[-8:] == list(groups["lr*"])


# Rastrigin's hundred wells have more contour lines than two panels should hold.
@pytest.mark.parametrize("name", sorted(set(LANDSCAPES) - {"rastrigin"}))
def test_two_groups_of_eight_runs_make_a_small_race_in_less_than_a_second(name):
    landscape = LANDSCAPES[name]
    began = time.process_time()
    html = plot.race(landscape, two_groups(landscape, steps=150))._repr_html_()

    assert time.process_time() - began < 1
    assert len(html.encode()) < 100_000


def test_long_names_get_a_wider_column_of_the_key():
    points = descent(LANDSCAPES["booth"])

    def columns(*names):
        root = ET.fromstring(plot.race(LANDSCAPES["booth"], dict.fromkeys(names, points)).still())
        return len({text.get("x") for text in root.findall(f"{SVG}text")})

    assert columns("sgd", "adam", "nadam", "lion") == 3
    assert columns("sgd", "adam", "nadam", "schedule_free_adamw") == 2


def test_no_two_rules_of_a_race_have_the_same_dot_and_the_key_shows_them():
    points = descent(LANDSCAPES["booth"])
    names = ["momentum", "nadam", "sgd", "adamax", "lamb", "adam", "adabelief", "nesterov", "lars", "lion"]
    root = ET.fromstring(plot.race(LANDSCAPES["booth"], dict.fromkeys(names, points)).still())

    faces = [
        tuple(circle.get(key) for key in ("r", "fill", "stroke", "stroke-width"))
        for circle in root.iter(f"{SVG}circle")
    ]
    in_panel, in_key = faces[: len(names)], faces[len(names) :]
    assert in_panel == in_key
    assert len(set(in_panel)) == len(names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"runs": {}}, "runs is empty"),
        ({"runs": {"lr*": {"sgd": np.zeros((5, 2))}, "lr": {}}}, "runs is empty"),
        ({"runs": {"lr*": {"sgd": np.zeros((5, 2))}, "sgd": np.zeros((5, 2))}}, "runs mixes paths and groups of paths"),
        ({"seconds": 0}, "seconds must be > 0, got 0"),
    ],
)
def test_a_race_without_runs_or_time_is_refused(arguments, message):
    landscape = LANDSCAPES["booth"]
    with pytest.raises(ValueError, match=message):
        plot.race(landscape, **{"runs": {"sgd": descent(landscape)}} | arguments)


def test_the_package_alone_does_not_import_matplotlib():
    code = "import sys, lossopt.compare, lossopt.claims, lossopt.data; sys.exit('matplotlib' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# In a browser -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium():
    """Start Debian's chromium; without one these tests are skipped, unless LOSSOPT_BROWSER says that they must run."""
    program = shutil.which("chromium")
    if program is None and os.environ.get("LOSSOPT_BROWSER") != "required":
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def race_page(chromium, tmp_path):
    """Return a function that opens a page with two players, the second far below the first, from a file."""
    contexts = []

    def page(lang="en", groups=None, width=600, **options):
        landscape = LANDSCAPES["booth"]
        players = [
            plot.race(landscape, {"sgd": descent(landscape, rate), "adam": descent(landscape, 0.02)}, seconds=seconds)
            for rate, seconds in ((0.01, 2.5), (0.03, 600.0))
        ]
        if groups:
            players = [plot.race(landscape, groups)]
        gap = '<div style="height:3000px"></div>'
        body = gap.join(player._repr_html_() for player in players)
        (tmp_path / "race.html").write_text(f'<!doctype html><html lang="{lang}"><meta charset="utf-8">{body}</html>')
        context = chromium.new_context(viewport={"width": width, "height": 700}, **options)
        contexts.append(context)
        opened = context.new_page()
        opened.seen = []
        opened.on("pageerror", lambda error: opened.seen.append(str(error)))
        opened.on("request", lambda request: opened.seen.append(request.url))
        opened.goto((tmp_path / "race.html").as_uri())
        return opened

    yield page
    for context in contexts:
        context.close()


def drawn_points(page, player=0):
    return page.evaluate(
        f"document.querySelectorAll('.lossopt-race')[{player}].querySelector('.race-trail')"
        ".getAttribute('points').split(' ').length"
    )


@pytest.mark.browser
def test_a_race_plays_once_it_is_in_view_and_stops_at_its_end(race_page):
    page = race_page()
    first, second = page.locator(".lossopt-race").all()

    first.get_by_role("button", name="pause").wait_for()  # it started by itself
    first.get_by_role("button", name="play").wait_for()  # it ended
    assert first.locator("output").text_content() == "t = 120"
    assert second.locator("output").text_content() == "t = 120"  # out of view: not started, its finished paths shown

    second.scroll_into_view_if_needed()
    second.get_by_role("button", name="pause").wait_for()
    assert drawn_points(page, 1) < 20
    assert page.seen == [page.url]  # no error, and no request but the page itself


@pytest.mark.browser
def test_a_race_keeps_still_for_readers_who_ask_for_reduced_motion_until_they_press_play(race_page):
    page = race_page(reduced_motion="reduce")
    first = page.locator(".lossopt-race").first

    page.wait_for_timeout(400)
    assert first.locator("output").text_content() == "t = 120"
    assert first.get_by_role("button", name="play").is_visible()

    first.get_by_role("button", name="play").click()
    first.get_by_role("button", name="pause").wait_for()
    assert page.seen == [page.url]  # no error, and no request but the page itself


@pytest.mark.browser
def test_a_race_is_played_paused_and_scrubbed_by_keyboard_alone(race_page):
    page = race_page(reduced_motion="reduce")
    first = page.locator(".lossopt-race").first
    output = first.locator("output")

    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    assert output.text_content() == "t = 0"
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert output.text_content() == "t = 3"
    assert first.get_by_role("slider", name="step").get_attribute("aria-valuetext") == "step 3"
    assert drawn_points(page) == 5  # steps 0 to 3, and the runner itself

    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    first.get_by_role("button", name="pause").wait_for()
    page.keyboard.press("Space")
    first.get_by_role("button", name="play").wait_for()
    assert 3 <= int(output.text_content().removeprefix("t = ")) < 120
    assert page.seen == [page.url]  # no error, and no request but the page itself


@pytest.mark.browser
def test_a_race_speaks_the_language_of_its_page(race_page):
    page = race_page(lang="ko", reduced_motion="reduce")

    assert page.locator(".lossopt-race").first.get_by_role("button", name="재생").is_visible()
    assert page.get_by_role("slider", name="스텝").first.is_visible()


@pytest.mark.browser
def test_a_race_without_scripts_shows_the_finished_paths_and_no_control(race_page):
    page = race_page(java_script_enabled=False)

    assert not page.locator(".race-controls").first.is_visible()
    trail = page.locator(".race-trail").first
    assert trail.is_visible()
    assert len(trail.get_attribute("points").split()) == 121


@pytest.mark.browser
def test_a_race_takes_the_colour_of_the_text_around_it(race_page):
    page = race_page(reduced_motion="reduce")
    page.evaluate("document.documentElement.style.color = 'rgb(1, 200, 3)'")

    inks = "[...document.querySelectorAll('.lossopt-race svg text')].map(text => getComputedStyle(text).fill)"
    assert set(page.evaluate(inks)) == {"rgb(1, 200, 3)"}


@pytest.mark.browser
@pytest.mark.parametrize(("width", "beside"), [(760, True), (390, False)])
def test_two_panels_stand_side_by_side_only_where_there_is_room(race_page, width, beside):
    page = race_page(groups=two_groups(LANDSCAPES["booth"]), width=width, reduced_motion="reduce")

    first, second, key = [view.bounding_box() for view in page.locator(".race-picture > svg").all()]
    assert (first["y"] == second["y"]) == beside
    assert first["width"] == second["width"] >= 300
    assert key["y"] > second["y"] + second["height"]
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.browser
def test_one_slider_moves_both_panels_and_print_finishes_them(race_page):
    groups = two_groups(LANDSCAPES["booth"])
    page = race_page(groups=groups, reduced_motion="reduce")
    ends = """[...document.querySelectorAll('.race-trail')].map((trail, i) => {
        const points = trail.getAttribute('points').split(' '), dot = document.querySelectorAll('.race-dot')[i];
        return [points.length, points.at(-1) === dot.getAttribute('cx') + ',' + dot.getAttribute('cy')];
    })"""

    page.get_by_role("slider").focus()
    page.keyboard.press("Home")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert page.evaluate(ends) == [[7, True]] * 15  # steps 0 to 5, and the runner itself

    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("output").text_content() == "t = 120"
    assert page.evaluate(ends) == [[len(run) + 1, True] for group in groups.values() for run in group.values()]
    assert page.seen == [page.url]


@pytest.mark.browser
def test_a_dark_page_prints_its_race_in_ink_on_one_sheet_and_without_controls(race_page):
    page = race_page(reduced_motion="reduce")
    page.evaluate("document.documentElement.style.color = '#fff'")
    page.emulate_media(media="print")

    race = page.locator(".lossopt-race").first
    red, green, blue = (int(plot.INK[i : i + 2], 16) for i in (1, 3, 5))
    ink = race.locator("svg text").first.evaluate("text => getComputedStyle(text).fill")
    assert ink == f"rgb({red}, {green}, {blue})"
    assert race.evaluate("race => getComputedStyle(race).breakInside") == "avoid"
    assert not race.locator(".race-controls").is_visible()


@pytest.mark.browser
def test_a_playing_race_does_not_read_every_step_aloud(race_page):
    output = race_page(reduced_motion="reduce").locator(".lossopt-race output").first

    assert output.get_attribute("aria-live") == "off"  # an output is announced at each change unless it says so
