"""Generators: diffusion pipelines that generate images from text, and their LoRA adapters."""
