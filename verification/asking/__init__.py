"""What is asked of a network, one module for each kind of question."""
