"""The URL of a database, from the URL of a server."""


def database_url(server: str, database: str) -> str:
    """Return ``server`` with this database; its user stays known in the database named before."""
    scheme, _, rest = server.partition("://")
    hosts, _, tail = rest.partition("/")
    former, _, options = tail.partition("?")
    if former and "@" in hosts and "authSource=" not in options:
        options = "&".join(filter(None, (options, f"authSource={former}")))
    return f"{scheme}://{hosts}/{database}" + (f"?{options}" if options else "")
