"""What a scenario file says: schema, parameters, points in time, metrics, targets, codecs.

Entry point: `spec.load_scenario`. Imports no other folder of `scenarios`.
"""
