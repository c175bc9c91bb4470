"""TLS for both wires, from a certificate and its key in PEM files."""

import ssl
from pathlib import Path

from eventuary.errors import ConfigurationError


def load_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a context that serves with this certificate, TLS 1.2 and up.

    Raises ConfigurationError when a file can't be read, or the two don't belong together.
    """
    for name, path in (("tls_cert", certificate), ("tls_key", key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{name}: {path}: can't be read: {error.strerror}") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        reason = error.reason or str(error)
        raise ConfigurationError(
            f"tls_cert {certificate} and tls_key {key}: are not a PEM certificate and its key: "
            f"{reason}"
        ) from None
    return context
