"""The application beside the hot path: /v1, the document and its page, health, metrics."""

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from eventuary.embedded import EmbeddedEventStore
from eventuary.limits import Limits
from eventuary.server.v1.appends import AppendRoutes
from eventuary.server.v1.dead_letters import DeadLetterRoutes
from eventuary.server.v1.entity_operations import entity_operations
from eventuary.server.v1.health import HealthRoutes
from eventuary.server.v1.histories import HistoryRoutes
from eventuary.server.v1.keys import Keyring, KeyRoutes
from eventuary.server.v1.log_pages import LONGEST_WAIT, LogPageRoutes
from eventuary.server.v1.log_stream import HEARTBEAT, LogStreamRoutes
from eventuary.server.v1.metrics import MetricRoutes
from eventuary.server.v1.openapi import document
from eventuary.server.v1.pages import page_routes
from eventuary.server.v1.routing import Answers, EncodedPaths, http_failure, routes_of
from eventuary.server.v1.sources import Sources
from eventuary.server.v1.subscriptions import SubscriptionRoutes


def make_app(
    store: EmbeddedEventStore,
    authenticator: Keyring,
    limits: Limits,
    sources: Sources,
    *,
    heartbeat: float = HEARTBEAT,
    longest_wait: float = LONGEST_WAIT,
) -> Starlette:
    """Return the application. ``store`` is started by its owner.

    ``heartbeat``: seconds without an event after which a stream sends a sign of life.
    ``longest_wait``: seconds after which a long poll is answered, however long it would wait.
    """
    answers = Answers()
    operations = [
        *entity_operations(),
        *HistoryRoutes(store).operations(),
        *AppendRoutes(store).operations(),
        *LogPageRoutes(store, sources, longest_wait).operations(),
        *LogStreamRoutes(store, sources, heartbeat).operations(),
        *SubscriptionRoutes(store).operations(),
        *DeadLetterRoutes(store).operations(),
        *KeyRoutes(store.engine.keys, authenticator).operations(),
        *HealthRoutes(store, sources, limits).operations(),
        *MetricRoutes(store, sources, answers).operations(),
    ]
    described = msgspec.json.encode(document(operations, limits, store.policy))
    app = Starlette(
        routes=[
            *routes_of(operations, authenticator, limits.body_size, answers),
            *page_routes(store, authenticator, described),
        ],
        middleware=[Middleware(EncodedPaths)],
        exception_handlers={HTTPException: http_failure},
    )
    app.router.redirect_slashes = False
    return app
