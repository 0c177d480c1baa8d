"""Who sends a request, as far as the request itself shows it."""

import ipaddress

from fastapi import Request

SHOWN_BY_OTHERS = ("forwarded", "x-forwarded-for", "via", "origin")  # proxies and web pages that reach the loopback


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bearer_of(request: Request) -> str:
    """The token of `Authorization: Bearer TOKEN`; empty without one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
