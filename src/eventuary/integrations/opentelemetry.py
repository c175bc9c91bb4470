"""OpenTelemetry: one trace from a request through all that its events lead to.

    from eventuary.integrations import opentelemetry

    opentelemetry.instrument()

From then on each ``save``, ``update`` and ``load`` of a repository is a span, and so is each
handling of an event. Events carry the trace in their metadata (W3C Trace Context), and what handles
them goes on with it, in whatever process it runs.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, TracerProvider, get_current_span, get_tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from eventuary.events import LogEvent
from eventuary.framework.metadata import Metadata, current_metadata, metadata
from eventuary.framework.tracing import install_tracing
from eventuary.version import __version__

_ENTITY_TYPE = "eventuary.entity_type"
_ENTITY_ID = "eventuary.entity_id"
_EVENT_TYPE = "eventuary.event_type"
_EVENT_ID = "eventuary.event_id"
_SUBSCRIBER_ID = "eventuary.subscriber_id"

_trace_context = TraceContextTextMapPropagator()


def instrument(tracer_provider: TracerProvider | None = None) -> None:
    """Make spans of this process's calls and handlings; None: with the global provider."""
    install_tracing(_OpenTelemetry(tracer_provider))


def uninstrument() -> None:
    """Make none any more."""
    install_tracing(None)


class _CallSpan:
    """A span that may learn late which entity it is about. Satisfies ``tracing.Span``."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def identify(self, entity_id: str) -> None:
        self._span.set_attribute(_ENTITY_ID, entity_id)


class _OpenTelemetry:
    """Satisfies ``Tracing``."""

    def __init__(self, tracer_provider: TracerProvider | None) -> None:
        self._tracer = get_tracer("eventuary", __version__, tracer_provider)

    @contextmanager
    def call(self, verb: str, entity_type: str, entity_id: str | None) -> Iterator[_CallSpan]:
        attributes = {_ENTITY_TYPE: entity_type}
        if entity_id is not None:
            attributes[_ENTITY_ID] = entity_id
        context = None  # the current one
        if not get_current_span().get_span_context().is_valid:
            context = _context_of(current_metadata())
        with (
            self._tracer.start_as_current_span(
                f"{verb} {entity_type}",
                context=context,
                kind=SpanKind.CLIENT if verb == "load" else SpanKind.PRODUCER,
                attributes=attributes,
            ) as span,
            _carried_by_events(),
        ):
            yield _CallSpan(span)

    @contextmanager
    def handling(
        self, subscriber_id: str, event: LogEvent, came_with: Metadata
    ) -> Iterator[_CallSpan]:
        attributes = {
            _SUBSCRIBER_ID: subscriber_id,
            _EVENT_TYPE: event.event_type,
            _EVENT_ID: event.event_id,
            _ENTITY_TYPE: event.entity_type,
            _ENTITY_ID: event.entity_id,
        }
        with (
            self._tracer.start_as_current_span(
                f"handle {event.event_type}",
                context=_context_of(came_with),
                kind=SpanKind.CONSUMER,
                attributes=attributes,
            ) as span,
            _carried_by_events(),
        ):
            yield _CallSpan(span)


def _context_of(carried: Metadata) -> Context:
    """Return the context that metadata name; whatever is current does not count."""
    carrier = {}
    if carried.traceparent is not None:
        carrier["traceparent"] = carried.traceparent
        carrier["tracestate"] = carried.tracestate or ""
    return _trace_context.extract(carrier, Context())


@contextmanager
def _carried_by_events() -> Iterator[None]:
    """Let the events that are stored within the block name the current span."""
    carrier: dict[str, str] = {}
    _trace_context.inject(carrier)
    with metadata(traceparent=carrier.get("traceparent"), tracestate=carrier.get("tracestate")):
        yield
