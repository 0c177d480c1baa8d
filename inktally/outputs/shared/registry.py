"""Every output by its name. Importing it imports all of them."""

from collections.abc import Mapping
from importlib import import_module

from inktally.outputs import NAMES
from inktally.outputs.shared.output import Output

OUTPUTS: Mapping[str, Output] = {name: import_module(f"inktally.outputs.{name}").OUTPUT for name in NAMES}
