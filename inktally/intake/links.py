"""Pictures by link: downloaded from the public internet, and from nowhere else, whatever the link says.

A host is resolved once, by us; every address it has must be public, and the connection goes to the very address that
was checked, so that a name cannot point elsewhere a moment later. Redirects are followed by hand, each checked like the
first link. Nothing is taken from the environment, and nothing is sent that would tell who we are: no proxies, cookies,
credentials. TLS checks the server's name as usual.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import IO, Any
from urllib.parse import unquote

import httpcore
import httpx

from inktally.errors import BadLink, InktallyError, LinkFailed, TooLarge
from inktally.intake.public_hosts import is_public

LONGEST_LINK = 2048
MOST_ADDRESSES = 3  # of one host that are tried
READ_SECONDS = 10.0
HOST = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+")
NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
PORTS = {"http": 80, "https": 443}
MOVED = frozenset({301, 302, 303, 307, 308})
ASKED = {"Accept": "image/*, application/pdf", "Accept-Encoding": "identity", "User-Agent": "Inktally"}

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port -> numeric addresses. Raises `OSError`."""


async def resolve(host: str, port: int) -> list[str]:
    """As the system does it."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True)
class Policy:
    """Where links may lead, and how much they may cost; times in seconds, over all redirects together.

    `allowed` are addresses that may be gone to although they are not public.
    """

    max_bytes: int
    seconds: float = 20.0
    connect_seconds: float = 5.0
    redirects: int = 3
    ports: frozenset[int] = frozenset(PORTS.values())
    allowed: frozenset[str] = frozenset()
    resolver: Resolver = resolve
    tls: ssl.SSLContext = field(default_factory=lambda: httpx.create_ssl_context(trust_env=False))


async def fetch(link: str, target: IO[bytes], policy: Policy) -> str:
    """Write what stands at `link` to `target`; the last part of its path, as a name.

    Raises `BadLink`, `LinkFailed`, `TooLarge`.
    """
    url = checked_link(link, policy)
    try:
        async with asyncio.timeout(policy.seconds):
            for _ in range(policy.redirects + 1):
                moved = await _get(url, target, policy)
                if moved is None:
                    return unquote(url.raw_path.partition(b"?")[0].decode("ascii").rpartition("/")[2], errors="replace")
                url = checked_link(moved, policy, base=url)
    except TimeoutError:
        raise LinkFailed(f"The picture did not come within {policy.seconds:g} seconds.") from None
    raise BadLink(f"The link is redirected more than {policy.redirects} times.")


def checked_link(link: str, policy: Policy, base: httpx.URL | None = None) -> httpx.URL:
    """The link, its host in ASCII and without a dot at the end. Raises `BadLink`."""
    if len(link) > LONGEST_LINK or "\\" in link:
        raise BadLink(f"A link has at most {LONGEST_LINK:,} characters, and no backslash.")
    try:
        url = base.join(link) if base else httpx.URL(link)
        host, port = url.raw_host.decode("ascii").removesuffix("."), url.port or PORTS.get(url.scheme)
    except (httpx.InvalidURL, ValueError) as error:
        raise BadLink("This is no link; one reads like https://example.org/page.png.") from error
    if url.scheme not in PORTS:
        raise BadLink("A link begins with https:// or http://.")
    if url.userinfo:
        raise BadLink("A link with a user or a password is not followed.")
    if port not in policy.ports or url.port == 0:
        raise BadLink("A link names no port, or the usual one.")
    _check_host(host)
    return url.copy_with(host=host, fragment=None)


def _check_host(host: str) -> None:
    """Plain numeric addresses, and names with a dot: not the old ways to write a number. Raises `BadLink`."""
    if ":" in host:
        return
    if not HOST.fullmatch(host):
        raise BadLink("The link names no host of the internet.")
    if NUMERIC.fullmatch(host.rpartition(".")[2]) and _numeric(host) is None:
        raise BadLink("An address is written as four decimal numbers.")


def _numeric(host: str) -> str | None:
    try:
        return str(ip_address(host))
    except ValueError:
        return None


async def _get(url: httpx.URL, target: IO[bytes], policy: Policy) -> str | None:
    """Download; where to go instead, when it has moved."""
    backend = _Pinned(await _addresses(url, policy))
    timeout = {"connect": policy.connect_seconds, "read": READ_SECONDS, "write": READ_SECONDS, "pool": READ_SECONDS}
    headers: list[tuple[bytes | str, bytes | str]] = [("Host", url.netloc), *ASKED.items()]
    raw = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    try:
        async with (
            httpcore.AsyncConnectionPool(ssl_context=policy.tls, network_backend=backend) as pool,
            pool.stream("GET", raw, headers=headers, extensions={"timeout": timeout}) as answer,
        ):
            told = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
            if answer.status in MOVED and "location" in told:
                return told["location"]
            _check_answer(answer.status, told, policy)
            await _save(answer, target, policy)
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, ssl.SSLError) as error:
        raise LinkFailed(f"The server of the link did not answer as it should ({type(error).__name__}).") from error
    return None


async def _addresses(url: httpx.URL, policy: Policy) -> list[str]:
    """All that the host has, every one checked. Raises `BadLink` when any of them is not to be gone to."""
    host, port = url.raw_host.decode("ascii"), url.port or PORTS[url.scheme]
    literal = _numeric(host)
    try:
        found = [literal] if literal else list(await policy.resolver(host, port))
    except (OSError, UnicodeError) as error:
        raise LinkFailed("The host of the link is not known.") from error
    if not found:
        raise LinkFailed("The host of the link is not known.")
    if not all(address in policy.allowed or is_public(address) for address in found):
        raise BadLink("The link leads to a place that is not public.")
    return found


def _check_answer(status: int, headers: Mapping[str, str], policy: Policy) -> None:
    """What type the server says it is does not matter: the bytes will tell. Raises `LinkFailed`, `TooLarge`."""
    if status != httpx.codes.OK:
        raise LinkFailed(f"The server of the link answers with {status}.")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise LinkFailed("The server of the link packs what it sends, although it was asked not to.")
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > policy.max_bytes:
        raise _too_large(policy)


async def _save(answer: httpcore.Response, target: IO[bytes], policy: Policy) -> None:
    size = 0
    async for chunk in answer.aiter_stream():
        size += len(chunk)
        if size > policy.max_bytes:
            raise _too_large(policy)
        target.write(chunk)


def _too_large(policy: Policy) -> InktallyError:
    return TooLarge(f"The picture has more than {policy.max_bytes:,} bytes; scan at 300 dpi, or send parts.")


class _Pinned(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked, whatever the host's name means by now."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses[:MOST_ADDRESSES]
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore hands it over
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        del host
        for address in self._addresses[:-1]:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._network.connect_tcp(self._addresses[-1], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)
