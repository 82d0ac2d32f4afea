"""Loading of captioners, diffusion pipelines and classifiers. Only this package calls `from_pretrained`."""
