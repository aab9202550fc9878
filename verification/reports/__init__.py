"""Presentation of what a verification found, for people and programs: differences, witnesses, JSON and JUnit XML."""
