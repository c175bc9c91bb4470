"""Where the keys of entities are kept: in files, in a SQL database. See docs/encryption.md."""
