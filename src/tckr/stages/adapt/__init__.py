"""adapt: teach a text-to-image model the look of the private set, as a LoRA adapter."""
