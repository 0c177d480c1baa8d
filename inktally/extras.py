"""The extras of pyproject.toml: packages that only some commands need."""

from importlib.util import find_spec

from inktally.errors import MissingTool

MODULES = {
    "page": ("babel", "python_multipart"),
    "up": ("babel", "python_multipart", "prefect_redis", "supervisor", "watchfiles"),
}


def require(extra: str) -> None:
    """Raises `MissingTool` where a package of an extra is missing, with the command that installs it."""
    missing = [module for module in MODULES[extra] if find_spec(module) is None]
    if missing:
        raise MissingTool(
            f"Python packages are not installed that this command needs ({', '.join(missing)}). "
            f"Install them with `make setup-{extra}`, or with `uv sync --inexact --no-dev --extra {extra}`."
        )
