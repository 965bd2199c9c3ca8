"""The only home of SQL: tables, statements named for their intent, migrations, views."""
