"""How every picture looks: colours, fonts, margins, words. It knows of no data."""

from __future__ import annotations

import html

import plotly.graph_objects as go

from sentiment.labels import LABELS, NEGATIVE, NEUTRAL, POSITIVE

# Told apart by people who do not see red and green alike (Okabe and Ito 2008).
BLUE = "#0072b2"
GREEN = "#009e73"
ORANGE = "#d55e00"
GREY = "#8a919c"
LIGHT_BLUE = "#8cc4e8"
INK = "#1f2933"
_GRID = "#e4e7eb"
CLASS_COLOURS = {NEGATIVE.name: ORANGE, NEUTRAL.name: "#b3b9c2", POSITIVE.name: BLUE}
CLASS_NAMES_KO = [label.name_ko for label in LABELS]
SHARES = [[0.0, "#f7fafc"], [1.0, "#08519c"]]  # light to dark: readable on paper too

# Fonts that a Korean Windows, macOS, Android or Linux has; none is fetched.
FONTS = '"Noto Sans KR", "Noto Sans CJK KR", "Malgun Gothic", "Apple SD Gothic Neo", sans-serif'
_FEW = 6  # counts below it, plotly would put ticks between them
LONGEST_NAME = 24  # characters of a source's name that fit beside an axis


def style(figure: go.Figure, *, title: str, height: int, top: int = 60) -> go.Figure:
    """Give a figure the common look, in place, and return it.

    Args:
        figure: drawn.
        title: Korean.
        height: pixels.
        top: pixels above the plotting area, for the title and marks.
    """
    figure.update_layout(
        title={"text": title, "x": 0, "xref": "paper"},
        height=height,
        template=go.layout.Template(),
        font={"family": FONTS, "size": 13, "color": INK},
        paper_bgcolor="white",
        plot_bgcolor="white",
        margin={"l": 64, "r": 24, "t": top, "b": 48},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        hoverlabel={"font": {"family": FONTS}},
    )
    axis = {"gridcolor": _GRID, "linecolor": GREY, "zeroline": False, "automargin": True}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure


def whole_ticks(largest: float) -> dict[str, object]:
    """An axis of counts: thousands separated, and never the same whole number twice."""
    return {"tickformat": ",d", "dtick": 1 if largest < _FEW else None}


def plain(name: str) -> str:
    """A name from outside as plotly shows it: cut, and no mark-up of its own.

    Plotly reads a few HTML tags in names, tick labels and annotations.
    """
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
    if len(shown) > LONGEST_NAME:
        shown = shown[: LONGEST_NAME - 1] + "…"
    return html.escape(shown)
