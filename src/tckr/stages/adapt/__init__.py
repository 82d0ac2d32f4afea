"""adapt: adapt a text-to-image model to the private set, by LoRA or in all weights."""
