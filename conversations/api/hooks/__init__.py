"""Hooks: what carriers and gateways send, a module for each that reads it, beside one view."""
