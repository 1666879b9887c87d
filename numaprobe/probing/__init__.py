"""One call from a source to the model."""
