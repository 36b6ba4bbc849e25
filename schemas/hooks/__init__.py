"""What carriers and gateways send: for each a schema of what is read of it."""
