"""Processes of a running network: the sandbox's first, controllers, monitors; their history and directory."""
