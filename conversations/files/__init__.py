"""The wing of files: a reader for each format, the import of their rows, and exports.

It uses inbox, database and schemas, and must not import flask, api, cli or server.
"""
