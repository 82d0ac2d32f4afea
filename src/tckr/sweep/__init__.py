"""Many variants of one run: a grid of settings, every shared step computed once, one table, one frontier."""
