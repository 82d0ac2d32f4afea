"""The layouts of a released synthetic set, one file each. All of them are deterministic byte for byte."""
