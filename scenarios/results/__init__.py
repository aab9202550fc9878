"""From records to figures, from figures to a verdict, from both to a report. Pure but for writing and printing.

Entry points: `measure`, `exchange_figures`, `checks`, `report` and `verdict`. Of `scenarios` it imports `spec` and
`traffic`.
"""
