"""What a scenario file says: schema, parameters, points in time, metrics, targets.

Entry point: `spec.load_scenario`.
"""
