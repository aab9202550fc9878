"""Records to figures, figures to a verdict, both to a report. Pure but for the printing.

Entry points: `measure`, `checks` and `report`.
"""
