"""Self-defence of what is served: measurements, circuit breakers, rollback, and incidents with their evidence."""
