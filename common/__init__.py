"""Shared utilities that know nothing of networks: errors, units, YAML documents, processes, output.

`errors` has the exception for bad user input; `units` parses quantities with units; `yaml_tree` and `document` read
YAML with line numbers, `schema_errors` validates it; `yaml_writer` writes YAML; `files` writes files atomically;
`processes` runs other programs; `suggestions` finds similar names; `counts` counts in words; `screen`, `tables` and
`progress` print to the terminal; `library_words` has our words for what libraries find wrong; `output_encoding` and
`standard_streams` cope with other locales and closed descriptors; `run_clock` does not step.
Imports no other package of this project; every package may import it.
"""
