"""What a verification found, for people and programs: findings, differences, witnesses, JSON and JUnit XML."""
