"""How pages are written: numbers as text, charts as SVG, one style sheet, Jinja templates."""
