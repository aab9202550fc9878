"""What every package needs and that knows nothing of networks: errors, units, documents, processes, screens.

`errors` is the one error a user's input can cause; `units` parses quantities at the edge; `document`, `yaml_tree` and
`schema_errors` read YAML with positions; `yaml_writer` writes it; `processes` runs other programs; `screen` and
`progress` speak to people. Imports no other package of this project; every package may import it.
"""
