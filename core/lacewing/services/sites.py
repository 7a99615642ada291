"""Who may call from a browser: the server's own pages and those of listed sites, and nobody else.

A browser sends requests for any page that it shows, also to this machine. So this stands before every route,
and never trusts a name that a stranger may have pointed here.
"""

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")
_READING = ("GET", "HEAD", "OPTIONS")


class Sites:
    """Middleware: 403 for a foreign page that changes something and for a foreign name of this server.

    `origins` are the listed sites, as browsers name them; `hosts` are names of this server besides its
    addresses and localhost. Only listed sites may read answers (CORS).
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str] = (), hosts: Sequence[str] = ()) -> None:
        self._origins = {origin.lower() for origin in origins}
        listed = (urlsplit(one).hostname or "" for one in self._origins)
        self._hosts = {*listed, *(host.lower() for host in hosts)}
        self._open = app
        self._app = CORSMiddleware(
            app,
            allow_origins=list(origins),
            allow_credentials=True,
            allow_methods=_METHODS,
            allow_headers=["Content-Type", "flyte-authorization"],
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or refuse it before anything reads its body."""
        if scope["type"] != "http":
            await self._open(scope, receive, send)
        elif reason := self.refusal(scope["method"], Headers(scope=scope)):
            await PlainTextResponse(reason + "\n", 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def refusal(self, method: str, headers: Headers) -> str:
        """Why the request is not taken, or nothing."""
        host, origin = headers.get("host", "").lower(), headers.get("origin", "").lower()
        if not self._known(host):
            return (
                f"This server does not know itself as {host!r}. Call it by an address or as localhost,"
                f" or list http://{host} in the setting `origins`."
            )
        if method in _READING or origin in self._origins:
            return ""
        foreign = origin and urlsplit(origin).netloc != host
        if foreign or headers.get("sec-fetch-site") == "cross-site":
            return (
                f"The request comes from a page of another site ({origin or 'not named'}), which may not"
                " change anything here. If you trust the site, list it in the setting `origins`."
            )
        return ""

    def _known(self, host: str) -> bool:
        """Whether nobody else can have given this server the name."""
        name = _name(host)
        return not name or name == "localhost" or name.endswith(".localhost") or name in self._hosts


def _name(host: str) -> str:
    """The name in a Host header; nothing for an address or where there is none."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return host
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name
    return ""
