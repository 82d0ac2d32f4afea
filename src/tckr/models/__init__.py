"""What is loaded: captioners, diffusion pipelines, classifiers. The only place that calls `from_pretrained`."""
