"""The policy language: schema, values, includes, and error reports.

Entry points: `source.Source` (a file as read) and `schema.PolicySpec`.
"""
