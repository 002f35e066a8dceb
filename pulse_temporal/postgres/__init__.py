"""How this package speaks to Postgres: connections, transactions, errors. It knows no table."""
