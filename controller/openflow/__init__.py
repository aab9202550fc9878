"""OpenFlow as values and as bytes: entries, the pipeline they belong to, encoder and decoder, readers of tables.

Entry points: `entries` (what a switch is told), `pipeline` (what each table may match and do), `encoder` and `decoder`.
"""
