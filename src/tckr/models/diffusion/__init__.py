"""Generators: diffusion pipelines that draw images from text, and their LoRA adapters."""
