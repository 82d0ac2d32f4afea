"""The Jinja environment of every page: values are escaped, and a missing name is an error."""

from __future__ import annotations

from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def environment(package: str) -> Environment:
    """Return the environment for the templates in the folder `templates` of `package`."""
    return Environment(
        loader=PackageLoader(package), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


@cache
def style_sheet() -> Markup:
    """Return the style sheet of all pages and charts."""
    return Markup((resources.files("tckr.html") / "templates" / "style.css").read_text(encoding="utf-8"))
