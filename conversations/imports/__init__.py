"""Files into rows, rows into the inbox.

It uses inbox, database and schemas, and must not import flask, api or cli.
"""
