"""Pictures on a page: each a place with its size, all of their data in one JSON block."""

from __future__ import annotations

import plotly.graph_objects as go
import plotly.io

from trainer.report_html import Html, tag

_LEAST_TOP = 24  # pixels above the plotting area, without a title

# What would end the block, or begin a comment, within a string of it.
_JSON_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


class Figures:
    """The pictures of one page, in the order of their places."""

    def __init__(self) -> None:
        self._drawn: list[str] = []

    def place(self, figure: go.Figure, explained: str = "", *, narrow: bool = False) -> Html:
        """Take a figure.

        Args:
            figure: its title becomes the heading.
            explained: a sentence under the heading.
            narrow: it needs no more than half of a wide page.

        Returns:
            Its place.
        """
        title = figure.layout.title.text or ""
        figure.update_layout(title=None, margin_t=max(_LEAST_TOP, figure.layout.margin.t - 30))
        self._drawn.append(plotly.io.to_json(figure, validate=False))
        height = f"height:{figure.layout.height}px"
        number = str(len(self._drawn) - 1)
        drawing = tag(
            "div", data_figure=number, style=height, role="img", aria_label=title, class_="drawing"
        )
        caption = tag("figcaption", tag("h3", title), tag("p", explained) if explained else "")
        return tag("figure", caption, drawing, class_="narrow" if narrow else "")

    def as_json(self) -> Html:
        """All figures as a JSON array that can stand in a script element."""
        return Html(f"[{','.join(self._drawn)}]".translate(_JSON_ESCAPES))
