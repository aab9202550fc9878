"""The controller's state and counters as the interface's answers. Pure."""
