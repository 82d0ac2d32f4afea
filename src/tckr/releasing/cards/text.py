"""Make Markdown with a YAML header from the templates; what is filled in is escaped."""

from __future__ import annotations

from typing import Any

import yaml
from markupsafe import Markup

from tckr.html.jinja import environment


def filled(template: str, **values: Any) -> Markup:
    """Return a template of `tckr.releasing` with its blanks filled."""
    return Markup(environment("tckr.releasing").get_template(f"{template}.md.j2").render(**values))


def card(header: dict[str, Any], body: str) -> str:
    """Return a card as the hub reads it: a YAML header, then Markdown."""
    text = yaml.safe_dump(header, sort_keys=False, allow_unicode=True)
    return f"---\n{text}---\n{body.strip()}\n"
