"""The HTTP wing: the blueprint, its views, and everything else that knows requests and responses.

It uses inbox, database and schemas; no other wing may import it.
"""
