"""Measure what target models are worth and what they tell about their training records."""
