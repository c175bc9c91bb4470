"""From ``MODULE:NAME`` to the views that are declared there."""

import importlib
import sys
from collections.abc import Iterable
from typing import Any, Protocol, TypeGuard

from eventuary.errors import ConfigurationError
from eventuary.event_store import EventStore
from eventuary.views.declaration import Declaration, ViewStatus
from eventuary.views.storage import KeptView


class AnyView(Protocol):
    """What a command needs of a view, whatever it is kept in."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def declaration(self) -> Declaration[Any]:
        """What it declares."""

    @property
    def kept(self) -> KeptView[Any]:
        """Its place in its storage."""

    async def status(self, store: EventStore) -> ViewStatus:
        """Return where it stands."""


def declared_views(app: str) -> dict[str, AnyView]:
    """Return the views by their names. Raises ConfigurationError, saying what is missing.

    Modules are looked for in the present folder too, as ``python -m`` does.
    """
    module_name, _, attribute = app.partition(":")
    if not module_name or not attribute:
        raise ConfigurationError(
            f"--app: {app!r} is not MODULE:NAME, as in order_history.service:history"
        )
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found: object = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigurationError(f"--app: {module_name}: {error}") from None
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise ConfigurationError(f"--app: {module_name} has no {attribute!r}") from None
    if callable(found) and not _is_view(found):
        try:
            found = found()
        except Exception as error:
            raise ConfigurationError(f"--app: {app}: {type(error).__name__}: {error}") from error
    declared = found if isinstance(found, Iterable) else [found]
    views: dict[str, AnyView] = {}
    for each in declared:
        if not _is_view(each):
            raise ConfigurationError(
                f"--app: {app} is {type(each).__name__}, not a View or TableView, several of them, "
                "or a function that returns them"
            )
        views[each.name] = each
    if not views:
        raise ConfigurationError(f"--app: {app} has no views")
    return views


def _is_view(found: object) -> TypeGuard[AnyView]:
    return isinstance(getattr(found, "declaration", None), Declaration)
