"""The wing of processes: gunicorn's worker, what precedes serving, and the embedded PostgreSQL.

It is the only wing that imports gunicorn, and it must not import cli or files.
"""
