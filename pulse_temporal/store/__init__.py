"""The only room that speaks SQL: connections, statements, migrations, one module a table."""
