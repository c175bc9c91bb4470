"""What a server is started with, checked; and the TOML file in which it may stand.

Where a value comes from (command line, EVENTUARY_ variable, file, default, in this order) is the
command line's business; here are the tables of many small numbers, ``[limits]`` and
``[delivery]``, which are laid over each other field by field.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from eventuary.delivery.policy import DeliveryPolicy
from eventuary.errors import BadRequest, ConfigurationError
from eventuary.limits import Limits
from eventuary.server.auth import ApiKey
from eventuary.swimlanes import DEFAULT_SWIMLANES

DEFAULT_HOST = "127.0.0.1"
DEFAULT_HTTP_PORT = 8080
#: protocol.md, section 3.
DEFAULT_STOMP_PORT = 61613
DEFAULT_STOMP_TLS_PORT = 61614
DEFAULT_ENGINE = "sqlite:eventuary.db"
LOG_LEVELS = ("debug", "info", "warning", "error")

#: Variables that set a field of a table: ``EVENTUARY_LIMIT_BODY_SIZE``.
LIMIT_VARIABLES = "EVENTUARY_LIMIT_"
DELIVERY_VARIABLES = "EVENTUARY_DELIVERY_"

#: What the file may hold, besides the two tables.
FILE_KEYS = (
    "host",
    "http_port",
    "stomp_port",
    "engine",
    "api_keys",
    "tls_cert",
    "tls_key",
    "swimlanes",
    "accept_data_loss",
    "log_level",
)
FILE_TABLES = ("limits", "delivery")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that ``eventuary serve`` can be told."""

    host: str = DEFAULT_HOST
    #: 0: any free port.
    http_port: int = DEFAULT_HTTP_PORT
    #: None: 61613, or 61614 with TLS. 0: any free port.
    stomp_port: int | None = None
    engine: str = DEFAULT_ENGINE
    api_keys: tuple[ApiKey, ...] = ()
    #: PEM files; both or none. With them HTTP and STOMP speak TLS.
    tls_cert: Path | None = None
    tls_key: Path | None = None
    #: Of spaces that hold nothing yet.
    swimlanes: int = DEFAULT_SWIMLANES
    #: Start though the engine's storage could lose what it has acknowledged.
    accept_data_loss: bool = False
    limits: Limits = Limits()
    delivery: DeliveryPolicy = DeliveryPolicy()
    log_level: str = "info"

    @property
    def actual_stomp_port(self) -> int:
        """The port to listen on."""
        if self.stomp_port is not None:
            return self.stomp_port
        return DEFAULT_STOMP_PORT if self.tls_cert is None else DEFAULT_STOMP_TLS_PORT

    def check(self) -> None:
        """Raise ConfigurationError, naming the setting, for what can't be."""
        for name, port in (("http_port", self.http_port), ("stomp_port", self.stomp_port or 0)):
            if not 0 <= port <= 65_535:
                raise ConfigurationError(f"{name}: {port} is outside 0..65535")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ConfigurationError("tls_cert and tls_key: both are needed, or none")
        if self.log_level not in LOG_LEVELS:
            raise ConfigurationError(
                f"log_level: {self.log_level!r} is none of {', '.join(LOG_LEVELS)}"
            )
        for field in msgspec.structs.fields(self.limits):
            if not getattr(self.limits, field.name) > 0:  # so that NaN is found too
                raise ConfigurationError(
                    f"limits: {field.name}: {getattr(self.limits, field.name)} is not above 0"
                )
        try:
            self.delivery.check()
        except BadRequest as error:
            raise ConfigurationError(f"delivery: {error}") from None


def read_file(path: Path) -> dict[str, object]:
    """Read a settings file; names may be written with ``-`` or ``_``.

    Raises ConfigurationError when it can't be read, is not TOML, or holds an unknown name.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigurationError(f"config: {path}: can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"config: {path}: is not UTF-8") from None
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"config: {path}: is not TOML: {error}") from None
    settings: dict[str, object] = {}
    for key, value in raw.items():
        name = key.replace("-", "_")
        if name not in FILE_KEYS + FILE_TABLES:
            raise unknown_name(f"config: {path}", key, FILE_KEYS + FILE_TABLES)
        if name in FILE_TABLES and not isinstance(value, dict):
            raise ConfigurationError(f"config: {path}: {key} is a table: write [{key}]")
        settings[name] = value
    return settings


_Table = TypeVar("_Table", Limits, DeliveryPolicy)


def overlay(start: _Table, *layers: tuple[str, Mapping[str, object]]) -> _Table:
    """Return ``start`` with the layers' fields in place of its own; later layers win.

    A layer has the name that errors begin with, and its fields. Text is read as the number that
    the field is. Raises ConfigurationError for unknown fields and for values that are none.
    """
    fields = {field.name: field for field in msgspec.structs.fields(start)}
    changes: dict[str, object] = {}
    for source, layer in layers:
        for key, value in layer.items():
            name = key.replace("-", "_").lower()
            if name not in fields:
                raise unknown_name(source, key, tuple(fields))
            try:
                changes[name] = msgspec.convert(value, fields[name].type, strict=False)
            except msgspec.ValidationError as error:
                reason = str(error)
                raise ConfigurationError(
                    f"{source}: {key}: {value!r}: {reason[:1].lower()}{reason[1:]}"
                ) from None
    return msgspec.structs.replace(start, **changes)


def from_variables(prefix: str, environ: Mapping[str, str]) -> dict[str, object]:
    """Return the fields that variables of this prefix set; an empty variable sets nothing."""
    return {
        name.removeprefix(prefix).lower(): value
        for name, value in environ.items()
        if name.startswith(prefix) and value
    }


def from_pairs(option: str, pairs: Iterable[str]) -> dict[str, object]:
    """Read ``name=value`` as repeated options give it. Raises ConfigurationError."""
    fields: dict[str, object] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigurationError(f"{option}: {pair!r}: expected NAME=VALUE")
        fields[name.strip()] = re.sub(r"(?<=\d)_(?=\d)", "", value.strip())
    return fields


def unknown_name(source: str, name: str, known: Iterable[str]) -> ConfigurationError:
    """Return an error that names what was probably meant."""
    known = tuple(known)
    near = difflib.get_close_matches(name.replace("-", "_").lower(), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
    return ConfigurationError(f"{source}: {name}: is not known; {hint}")
