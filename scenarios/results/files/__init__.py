"""The Parquet files of a run: their columns, and writing them row group by row group.

Entry points: one module for each file. Of `scenarios` it imports `spec`, `traffic` and the figures of `results`.
"""
