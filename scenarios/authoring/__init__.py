"""What helps to write scenarios: a new file, all problems of one, its description, the JSON Schema of all.

Entry points: `new.new_scenario`, `description.describe`, `json_schema.scenario_json_schema`; problems are found by
`run.preparation`, as before a run. Imports every other folder of `scenarios`.
"""
