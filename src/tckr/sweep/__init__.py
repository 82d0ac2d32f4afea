"""Sweeps: run a grid of settings, compute common steps once, and write one table and one frontier."""
