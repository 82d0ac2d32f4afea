"""Tests of the mirrored package."""
