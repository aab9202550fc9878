"""OpenFlow entries as values and as messages, the pipeline that they belong to, and readers of tables and messages.

Entry points: `entries` (flow, group and meter entries), `pipeline` (what each table may match and do), `encoder` and
`decoder`.
"""
