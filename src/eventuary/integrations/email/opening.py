"""From a URL to a mailer."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from eventuary.errors import ConfigurationError
from eventuary.integrations.email.mailer import Mailer
from eventuary.integrations.email.outbox import Outbox


def open_mailer(url: str) -> Mailer:
    """Return the mailer that ``url`` names; ``async with`` opens it.

    ``ses:[?region=…&endpoint=…&configuration_set=…]``: Amazon SES, needs ``eventuary[ses]``.
    ``smtp://[user:password@]host[:port][?tls=auto|starttls|implicit|none]``: a mail server, needs
    ``eventuary[smtp]``. ``outbox:FOLDER``: a folder of ``.eml`` files.
    Raises ConfigurationError for anything else, and for what is not installed.
    """
    scheme = url.partition(":")[0]
    kinds: dict[str, Callable[[str], Mailer]] = {"ses": _ses, "smtp": _smtp, "outbox": _outbox}
    kind = kinds.get(scheme)
    if kind is None or ":" not in url:
        raise ConfigurationError(
            f"{_shown(url)} names no mailer; write ses:?region=…, smtp://host:port or outbox:FOLDER"
        )
    return kind(url)


def _outbox(url: str) -> Mailer:
    folder = url.partition(":")[2]
    if not folder:
        raise ConfigurationError(f"{_shown(url)}: names no folder; write outbox:FOLDER")
    return Outbox(Path(folder))


def _ses(url: str) -> Mailer:
    parts = urlsplit(url)
    if parts.netloc or parts.path:
        raise ConfigurationError(f"{_shown(url)}: ses: takes options alone; write ses:?region=…")
    options = _options(url, parts, "region", "endpoint", "configuration_set")
    try:
        from eventuary.integrations.email.ses import SesMailer
    except ModuleNotFoundError as error:
        raise _not_installed("ses", error) from None
    return SesMailer(
        region=options.get("region"),
        endpoint=options.get("endpoint"),
        configuration_set=options.get("configuration_set"),
    )


def _smtp(url: str) -> Mailer:
    parts = urlsplit(url)
    options = _options(url, parts, "tls")
    try:
        port = parts.port
    except ValueError:
        raise ConfigurationError(f"{_shown(url)}: its port is no number up to 65535") from None
    if not parts.hostname or parts.path not in ("", "/"):
        raise ConfigurationError(f"{_shown(url)}: write smtp://[user:password@]host[:port][?tls=…]")
    try:
        from eventuary.integrations.email.smtp import SmtpMailer, Tls
    except ModuleNotFoundError as error:
        raise _not_installed("smtp", error) from None
    tls = options.get("tls", Tls.AUTO)
    if tls not in list(Tls):
        raise ConfigurationError(f"{_shown(url)}: tls: {tls!r} is none of {', '.join(Tls)}")
    return SmtpMailer(
        parts.hostname,
        port,
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        tls=Tls(tls),
    )


def _options(url: str, parts: SplitResult, *known: str) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name, value in options.items():
        if name not in known:
            raise ConfigurationError(
                f"{_shown(url)}: {name}: is not known; known: {', '.join(known)}"
            )
        if not value:
            raise ConfigurationError(f"{_shown(url)}: {name}: is empty")
    return options


def _not_installed(extra: str, error: ModuleNotFoundError) -> ConfigurationError:
    return ConfigurationError(
        f"{extra}: needs a package that is not installed ({error.name}): "
        f"pip install 'eventuary[{extra}]'"
    )


def _shown(url: str) -> str:
    """Return a URL as errors show it: without what must not be told."""
    return repr(re.sub(r"//[^/]*@", "//…@", url))
