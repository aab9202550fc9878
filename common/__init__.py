"""Shared utilities that know nothing of networks: errors, units, YAML documents, processes, output.

`errors` has the exception for bad user input; `units` parses quantities with units; `yaml_tree` and `document` read
YAML with line numbers, `schema_errors` validates it; `yaml_writer` writes YAML; `files` writes files atomically;
`processes` runs other programs; `suggestions` finds similar names; `counts` counts in words; `library_words` has our
words for what libraries find wrong; `ownership` gives files to a user behind sudo; `run_clock` does not step;
`terminal/` prints.
Imports no other package of this project; every package may import it.
"""
