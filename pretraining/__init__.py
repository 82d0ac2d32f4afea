"""Make the embedded checkpoints: render a captioned world, train on it, export, measure. Not shipped with the package."""
