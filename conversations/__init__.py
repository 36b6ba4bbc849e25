"""The conversations service. Its wings: api, inbox, imports, database, cli.

The wings know each other in one direction only: cli and api use inbox, imports use inbox, all use
database. A test holds that.
"""

__version__ = "1.0.0"
