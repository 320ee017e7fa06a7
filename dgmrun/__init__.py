"""dgmrun: train deep generative models and score every one of them in nats, with an error bar."""

__version__ = "0.1.0"
