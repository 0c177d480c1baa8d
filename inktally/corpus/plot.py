"""The curve of the vocabulary's growth as a picture. No word stands in it."""

from __future__ import annotations

import io

import numpy as np

from inktally.corpus.figures import Growth

INCHES = (7.2, 4.2)
CURVE, LAW, GREY = "#1f5f8b", "#c8553d", "#666666"


def growth_svg(growth: Growth) -> bytes:
    """Distinct words over tokens, and Heaps' law beside; the same growth gives the same bytes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure  # without pyplot: nothing global, no display

    with mpl.rc_context({"svg.hashsalt": "inktally", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=INCHES, layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, *growth.tokens], [0, *growth.distinct], color=CURVE, linewidth=2, label="distinct words")
        if growth.factor:
            tokens = np.linspace(1, max(growth.tokens), 200)
            law = f"Heaps: {growth.factor:.3g} · tokens^{growth.exponent:.3f}"
            axes.plot(tokens, growth.factor * tokens**growth.exponent, "--", color=LAW, linewidth=1.2, label=law)
        axes.set(xlabel="words counted, documents by day, then by name", ylabel="distinct words")
        axes.set(xlim=(0, None), ylim=(0, None), title="Growth of the vocabulary")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda number, _: f"{number:,.0f}")
        axes.grid(visible=True, color=GREY, alpha=0.2)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="lower right")
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": "Inktally"})
    return drawn.getvalue()
