"""Who sends a request, as far as the request itself shows it."""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from fastapi import Request

NETWORKS = {64: 1, 56: 4, 48: 16}
"""Bits of an IPv6 network -> how many times the limit of one client all in it have. Customers get any of these."""
RELAYED = re.compile(
    r"forwarded|via|x-forwarded.*|x-real-.*|x-client-ip|x-cluster-client-ip|x-original-.*|true-client-ip|cf-.*|cdn-loop"
    r"|fastly-.*|x-envoy-.*|x-azure-.*|x-arr-.*|x-amzn-trace-id|x-cloud-trace-context"
)
"""Headers that proxies add, which no sender of ours does."""
OWN_SITES = ("none", "same-origin")  # what Sec-Fetch-Site says when no other site has a browser send the request


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_of_this_machine(request: Request, origins: Collection[str] = ()) -> bool:
    """Whether a program of this machine asks, and not a proxy on it, nor a web page that is open on it.

    Pages of `origins` may ask. A proxy that adds no header, and names us by our own address, cannot be recognised
    unless it speaks HTTP/1.0, as nginx does by default.
    """
    headers, client = request.headers, request.client
    hosts = client.host if client else "", host_of(f"//{headers.get('host', '')}")
    if not all(map(is_loopback, hosts)) or request.scope.get("http_version") == "1.0":
        return False
    if any(RELAYED.fullmatch(name) for name in headers):
        return False
    if "origin" in headers:
        return headers["origin"] in origins
    return headers.get("sec-fetch-site", "none") in OWN_SITES


def is_address(host: str) -> bool:
    """Whether a host is an address in figures, of IPv4 or IPv6, and no name."""
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def host_of(url: str) -> str:
    """The host of a URL, in lower case; empty when there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def networks_of(address: str) -> dict[str, int]:
    """The smallest network that is counted for, which stands for one customer, and those around it: see `NETWORKS`.

    An IPv4 address, or what is no address, stands for itself.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return {address: 1}
    if not isinstance(found, ipaddress.IPv6Address):
        return {address: 1}
    if found.ipv4_mapped:
        return {str(found.ipv4_mapped): 1}
    return {str(ipaddress.ip_network((found, bits), strict=False)): times for bits, times in NETWORKS.items()}


def network_of(address: str) -> str:
    """What stands for one customer."""
    return next(iter(networks_of(address)))


def bearer_of(request: Request) -> str:
    """The token of `Authorization: Bearer TOKEN`; empty without one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def is_same(shown: bytes, secret: bytes) -> bool:
    """In constant time, whatever the length."""
    return hmac.compare_digest(hashlib.sha256(shown).digest(), hashlib.sha256(secret).digest())
