"""Output to a terminal: `screen`, `tables` and `progress` print; `output_encoding`, `standard_streams` and
`tolerant_output` cope with other locales, closed descriptors and full disks. Imports `helsewan.common` only.
"""
