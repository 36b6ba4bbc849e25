"""The queries that no organization is named in, and why."""

# The look-up of a key finds the organization itself.
OF_A_KEY = {"get_api_key"}

# These use the temporary table of one import.
OF_AN_IMPORT = {"create_staged_rows", "copy_staged_rows", "list_staged_rows"}

# These look at all organizations, and return nothing that a tenant would see.
OVER_ALL_ORGANIZATIONS = OF_AN_IMPORT | {
    "analyze_inbox",
    "get_replica_lag",
    "find_api_keys",
    "list_organizations",
    "get_health",
    "get_now",
    "get_status",
}
