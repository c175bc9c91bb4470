"""Pages for people: ``/``, and ``/docs`` to browse the document. They load nothing from outside."""

import html
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from eventuary.embedded import EmbeddedEventStore
from eventuary.server.principal import Authenticator
from eventuary.version import __version__

#: Nothing but what this server sends may be loaded, or run.
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}

_MEDIA_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}


def page_routes(
    store: EmbeddedEventStore, authenticator: Authenticator, document: bytes
) -> list[Route]:
    """Return the routes of the pages, and of the document that one of them shows."""
    overview = _asset("overview.html")

    async def root(request: Request) -> Response:
        """An overview. How much is stored is for those with a key."""
        del request
        head = f"{store.events:,}" if authenticator.open_access else "for keys only: see metrics"
        text = overview.replace("{version}", html.escape(__version__)).replace("{head}", head)
        return _page(text, "html")

    async def openapi(request: Request) -> Response:
        """The document."""
        del request
        return Response(document, headers=_HEADERS, media_type="application/json")

    return [
        Route("/", root),
        Route("/openapi.json", openapi),
        _static("/docs", "docs.html"),
        _static("/docs/docs.css", "docs.css"),
        _static("/docs/docs.js", "docs.js"),
        _static("/docs/schema.js", "schema.js"),
        _static("/docs/trial.js", "trial.js"),
    ]


def _static(path: str, name: str) -> Route:
    text = _asset(name)

    async def answer(request: Request) -> Response:
        del request
        return _page(text, name.rpartition(".")[2])

    return Route(path, answer)


def _page(text: str, suffix: str) -> Response:
    return Response(text, headers=_HEADERS, media_type=_MEDIA_TYPES[suffix])


def _asset(name: str) -> str:
    return resources.files("eventuary.server.v1").joinpath("assets", name).read_text("utf-8")
