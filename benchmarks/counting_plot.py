"""Seconds over tokens, by system, as a picture for docs/counting.md."""

from __future__ import annotations

import io
from collections.abc import Mapping

INCHES = (7.2, 4.2)
COLOURS = {"inktally": "#1f5f8b", "duckdb": "#c8553d", "pandas": "#6b8e23", "python": "#7a5195"}


def seconds_svg(seconds: Mapping[str, Mapping[str, float]]) -> bytes:
    """Of seconds by tokens and system; both axes are logarithmic."""
    import matplotlib as mpl
    from matplotlib.figure import Figure  # without pyplot: nothing global, no display

    with mpl.rc_context({"svg.hashsalt": "inktally", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=INCHES, layout="constrained")
        axes = figure.add_subplot()
        for system, colour in COLOURS.items():
            points = [(int(size), by_system[system]) for size, by_system in seconds.items() if system in by_system]
            axes.loglog(*zip(*points, strict=True), "o-", color=colour, label=system) if points else None
        axes.set(xlabel="tokens", ylabel="seconds", title="Counting words by document and in all")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda number, _: f"{number:,.10g}")
        axes.grid(visible=True, alpha=0.2)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": "Inktally"})
    return drawn.getvalue()
