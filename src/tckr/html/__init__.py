"""Write pages: numbers as text, charts as SVG, one style sheet, Jinja templates."""
