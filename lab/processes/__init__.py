"""Processes of a running lab: the sandbox's first, controllers, monitors; a run's history and directory."""
