"""Draws docs/demo.svg: what `make demo` shows in a terminal.

python docs/demo.py FILE.svg, with the demo's output on standard input.
"""  # noqa: INP001 - a script, which nobody imports

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 88


def draw(output: str) -> str:
    """A terminal window, as SVG, in which `make demo` printed `output` (colours as ANSI sequences)."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text.assemble(("$ ", "bold green"), ("make demo", "bold")))
    console.print(Text.from_ansi(output))
    drawn = console.export_svg(title="Inktally")
    return re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)  # they would be fetched from elsewhere


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(sys.stdin.read()), encoding="utf-8")
