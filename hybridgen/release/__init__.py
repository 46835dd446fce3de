"""What is published on the Hub, so that a stranger understands it: a model, an adapter, a Space."""
