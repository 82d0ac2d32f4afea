"""Complete uses of the product, each with its data, settings and results."""
