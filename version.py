"""The version, in this one place."""

VERSION = "1.0.0"
