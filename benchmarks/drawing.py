"""Draws charts as SVG, lines and bars, for light pages and dark ones."""

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10

COLOURS = ("#1f77b4", "#e07b00", "#2a9d4a", "#b03060", "#7d5bbe")
WIDTH, HEIGHT = 720, 330
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 40, 66
STYLE = (
    "<style>text{font:12px system-ui,sans-serif;fill:#57606a}.t{font-size:14px;font-weight:600}"
    ".g{stroke:#8c959f;stroke-opacity:.3}@media(prefers-color-scheme:dark){text{fill:#9ea7b1}}</style>"
)

Point = tuple[float, float]


def lines(title: str, x_axis: str, y_axis: str, series: Mapping[str, Sequence[Point]]) -> str:
    """Return a chart of curves; each is named by its key."""
    points = [point for curve in series.values() for point in curve]
    right, top = _nice(max(x for x, _ in points)), _nice(max(y for _, y in points))
    parts = [_frame(title, y_axis, top), _text(WIDTH / 2, HEIGHT - 30, x_axis, "middle")]
    for step in range(6):
        x = _x(right * step / 5, right)
        parts.append(_text(x, HEIGHT - BOTTOM + 16, _label(right * step / 5), "middle"))
    for number, curve in enumerate(series.values()):
        path = " ".join(f"{_x(x, right):.1f},{_y(y, top):.1f}" for x, y in curve)
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>')
    return _document(title, parts, list(series))


def bars(
    title: str, y_axis: str, groups: Mapping[str, Sequence[float]], names: Sequence[str]
) -> str:
    """Return a chart of bars.

    Args:
        title: above it.
        y_axis: the unit.
        groups: by their name below the bars; the values are in the order of `names`.
        names: of the bars in each group.
    """
    top = _nice(max(value for values in groups.values() for value in values))
    parts = [_frame(title, y_axis, top)]
    wide = (WIDTH - LEFT - RIGHT) / len(groups)
    thick = min(wide * 0.8 / len(names), 60)
    for place, (group, values) in enumerate(groups.items()):
        middle = LEFT + wide * (place + 0.5)
        parts.append(_text(middle, HEIGHT - BOTTOM + 16, group, "middle"))
        for number, value in enumerate(values):
            x = middle + thick * (number - len(names) / 2)
            y = _y(value, top)
            colour = COLOURS[number % len(COLOURS)]
            height = HEIGHT - BOTTOM - y
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{thick * 0.92:.1f}" '
                f'height="{height:.1f}" fill="{colour}"/>'
            )
            parts.append(_text(x + thick * 0.46, y - 4, _label(value), "middle"))
    return _document(title, parts, list(names))


def quantiles(values: Sequence[float]) -> list[Point]:
    """Return the curve of what part of the values, in percent, is at most so large."""
    ordered = sorted(values)
    return [(value, 100 * (place + 1) / len(ordered)) for place, value in enumerate(ordered)]


def _nice(value: float) -> float:
    """Return a round number that is not less."""
    if value <= 0:
        return 1.0
    power = 10.0 ** floor(log10(value))
    steps = (1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10)
    return next(step * power for step in steps if value <= step * power * 1.0001)


def _x(value: float, right: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * value / right


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top


def _label(value: float) -> str:
    if value == ceil(value) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2g}"


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    mark = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{mark}>{escape(text)}</text>'


def _frame(title: str, y_axis: str, top: float) -> str:
    parts = [_text(LEFT, 20, f"{title} ({y_axis})" if y_axis else title, "start", "t")]
    for step in range(6):
        y = _y(top * step / 5, top)
        parts.append(f'<path class="g" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(_text(LEFT - 6, y + 4, _label(top * step / 5), "end"))
    return "\n".join(parts)


def _document(title: str, parts: Sequence[str], names: Sequence[str]) -> str:
    legend, x = [], float(LEFT)
    for number, name in enumerate(names):
        colour = COLOURS[number % len(COLOURS)]
        legend.append(
            f'<rect x="{x:.1f}" y="{HEIGHT - 18}" width="10" height="10" fill="{colour}"/>'
        )
        legend.append(_text(x + 15, HEIGHT - 9, name, "start"))
        x += 30 + 6.2 * len(name)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>{escape(title)}</title>{STYLE}"
    )
    return "\n".join([head, *parts, *legend, "</svg>", ""])
