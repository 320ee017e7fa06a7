"""A model, an objective and a dataset of one's own, as `--config-dir` finds them."""
