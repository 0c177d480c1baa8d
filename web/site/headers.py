"""What every answer of the site tells the browser not to do."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STATIC_SECONDS = 3600


def content_policy(store_origin: str = "") -> str:
    """`store_origin`: where pictures are posted to, should that not be the site itself."""
    rules = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": f"'self' {store_origin}".strip(),
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {allowed}" for name, allowed in rules.items())


class SecurityHeaders:
    """Adds them to each answer that has not said otherwise. Pages are private; only /static may be kept."""

    def __init__(self, app: ASGIApp, policy: str, *, is_secure: bool) -> None:
        self._app = app
        self._headers = {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Permissions-Policy": "geolocation=(), microphone=()",
        }
        if is_secure:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        is_static = scope["path"].startswith("/static/")
        caching = f"public, max-age={STATIC_SECONDS}" if is_static else "no-store"

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in {**self._headers, "Cache-Control": caching}.items():
                    headers.setdefault(name, value)
            await send(message)

        return await self._app(scope, receive, send_with_headers)


class HeadAsGet:
    """HEAD is answered as GET is; the server leaves the body away. A stream would have no end: there it is refused."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_head = scope["type"] == "http" and scope["method"] == "HEAD" and not scope["path"].endswith("/events")
        await self._app({**scope, "method": "GET"} if is_head else scope, receive, send)
