"""What a policy file may say: schema, values, includes, and how what is wrong is reported.

Entry points: `source.Source` (a file as read) and `schema.PolicySpec`.
"""
