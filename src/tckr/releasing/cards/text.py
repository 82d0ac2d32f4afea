"""Fill the Markdown templates, with escaping, and add YAML headers."""

from __future__ import annotations

from typing import Any

import yaml
from markupsafe import Markup

from tckr.html.jinja import environment


def filled(template: str, **values: Any) -> Markup:
    """Return a template of `tckr.releasing` filled with `values`."""
    return Markup(environment("tckr.releasing").get_template(f"{template}.md.j2").render(**values))


def card(header: dict[str, Any], body: str) -> str:
    """Return a card in the hub's format: a YAML header, then Markdown."""
    text = yaml.safe_dump(header, sort_keys=False, allow_unicode=True)
    return f"---\n{text}---\n{body.strip()}\n"
