"""What the traffic section of a scenario may say.

Entry point: `schema`. Of `scenarios` it imports `spec.values`, and of the timeline `actions`, only.
"""
