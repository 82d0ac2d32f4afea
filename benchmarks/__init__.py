"""Measurements and experiments; a package, so that tests find it before others of the same name that libraries install."""
