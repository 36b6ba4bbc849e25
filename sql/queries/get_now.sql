-- The instant of the database, which counts where an instant defaults to now. The clock of the host
-- that runs the service may be wrong.
SELECT now() AS now
