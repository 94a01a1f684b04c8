"""What runs in the model container: the bundle, one transport-free core, its doors, and the adapters of models."""
