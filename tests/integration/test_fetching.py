"""Pictures by link, from real servers on addresses of this machine; some of them stand for the public internet."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from inktally.errors import BadLink, InktallyError, LinkFailed, TooLarge
from inktally.intake.links import Policy, fetch
from inktally.intake.public_hosts import is_public
from tests.support.links import PICTURE, PRIVATE, PUBLIC, TLS, Answer, Server, send, serving


def moved(where: str, status: int = 302) -> Answer:
    return lambda request: send(request, status, {"Location": where})


@dataclass
class Names:
    """A resolver of ours: each name's answers, one after the other, the last one for ever."""

    answers: dict[str, list[list[str]]]
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        del port
        self.asked.append(host)
        if host not in self.answers:
            raise OSError("no such host")
        answers = self.answers[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
def public() -> Iterator[Server]:
    with serving(PUBLIC) as server:
        yield server


@pytest.fixture
def private() -> Iterator[Server]:
    with serving(PRIVATE) as server:
        yield server


def policy(*servers: Server, names: dict[str, list[list[str]]] | None = None, **changes: object) -> Policy:
    names = {"pictures.example": [[PUBLIC]]} | (names or {})
    facts = {
        "max_bytes": 1000,
        "ports": frozenset(server.port for server in servers) | {80, 443},
        "allowed": frozenset({PUBLIC}),
        "resolver": Names(names),
        "tls": TLS,
        **changes,
    }
    return Policy(**facts)  # type: ignore[arg-type]


def fetched(link: str, how: Policy) -> tuple[str, bytes]:
    target = BytesIO()
    name = asyncio.run(fetch(link, target, how))
    return name, target.getvalue()


def test_a_picture_is_downloaded_and_named_after_its_link_whatever_type_its_server_says(public: Server) -> None:
    assert fetched(public.at("/scans/page%201.png?size=full#top"), policy(public)) == ("page 1.png", PICTURE)


def test_the_request_tells_nothing_of_us(public: Server) -> None:
    fetched(public.at("/a.png"), policy(public))
    ((_, headers),) = public.requests
    assert {name.lower() for name in headers} == {"host", "accept", "accept-encoding", "user-agent"}
    assert headers["Host"] == f"pictures.example:{public.port}"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200",
        "0.0.0.0", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.0.192", "192.0.2.1", "198.18.0.1",  # noqa: S104
        "192.88.99.1", "168.63.129.16", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::",
        "2001:0:53aa:64c:0:1:80ff:fffe", "2001:db8::1", "3fff::1", "100::1", "fec0::1", "2606:4700::5efe:7f00:1",
        "2606:4700::1%eth0", "", "localhost", "127.1",
    ],
)  # fmt: skip
def test_what_is_no_public_address_is_told(address: str, public: Server) -> None:
    assert not is_public(address)
    with pytest.raises(BadLink, match="not public"):
        fetched(public.at("/a.png"), policy(public, names={"pictures.example": [[address]]}))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450::1"])
def test_public_addresses_are_told(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "link",
    [
        "http://127.0.0.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/", "http://[fe80::1%25eth0]/", "http://localhost/", "http://localhost./",
        "http://metadata/", "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://0177.0.0.1/",
        "http://127.1/", "http://017700000001/", "http://127.0.0.1./", "http://1.2.3.4.5/", "http://①②⑦.⓪.⓪.①/",
        "http://%31%32%37.0.0.1/", "http://user@pictures.example/", "http://:secret@pictures.example/",
        "http://pictures.example:22/", "http://pictures.example:0/", "http://pictures.example:99999/",
        "http://a\\@pictures.example/", "http://pictures.example\\@127.0.0.1/", "file:///etc/passwd",
        "gopher://pictures.example/", "ftp://pictures.example/a.png", "//pictures.example/a.png", "/a.png", "", "http://",
        "http:///a.png", "http://a b.example/", "http://a\r\nHost: b.example/", "http://pictures.example/" + "a" * 2048,
        "http://[v1.fe]/", "javascript:alert(1)", "http://pictures..example/", "http://\ud800.example/",
    ],
)  # fmt: skip
def test_a_link_that_leads_nowhere_public_is_refused_without_a_look(link: str) -> None:
    how = policy()
    with pytest.raises(BadLink):
        fetched(link, how)
    assert isinstance(how.resolver, Names)
    assert not how.resolver.asked


@pytest.mark.parametrize("name", ["metadata.google.internal", "localhost.localdomain", "intern.example."])
def test_names_that_mean_a_private_address_are_refused(name: str, private: Server) -> None:
    names = {name.rstrip("."): [[PRIVATE]]}
    with pytest.raises(BadLink, match="not public"):
        fetched(private.at("/", host=name), policy(private, names=names))
    assert not private.requests


def test_one_private_address_among_public_ones_is_enough_to_refuse(public: Server) -> None:
    with pytest.raises(BadLink):
        fetched(public.at("/"), policy(public, names={"pictures.example": [[PUBLIC, "10.0.0.1"]]}))
    assert not public.requests


def test_a_name_that_changes_its_mind_is_asked_once_and_the_checked_address_is_used(public: Server) -> None:
    how = policy(public, names={"pictures.example": [[PUBLIC], ["169.254.169.254"]]})
    assert fetched(public.at("/a.png"), how)[1] == PICTURE
    assert isinstance(how.resolver, Names)
    assert how.resolver.asked == ["pictures.example"]


def test_a_name_that_changes_its_mind_between_redirects_is_refused(public: Server) -> None:
    public.answers["/"] = moved("/again")
    with pytest.raises(BadLink, match="not public"):
        fetched(public.at("/"), policy(public, names={"pictures.example": [[PUBLIC], ["127.0.0.1"]]}))
    assert len(public.requests) == 1


def test_the_next_checked_address_is_tried_where_one_does_not_answer(public: Server) -> None:
    allowed = frozenset({PUBLIC, "127.0.0.3"})
    how = policy(public, names={"pictures.example": [["127.0.0.3", PUBLIC]]}, allowed=allowed)
    assert fetched(public.at("/a.png"), how)[1] == PICTURE


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(status: int, public: Server) -> None:
    public.answers["/old"] = moved("../new/page.png", status)
    assert fetched(public.at("/old"), policy(public)) == ("page.png", PICTURE)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "0x7f000001", "localhost", "intern.example"])
def test_a_redirect_to_a_private_place_is_refused(host: str, public: Server, private: Server) -> None:
    public.answers["/"] = moved(private.at("/secret", host=host))
    with pytest.raises(BadLink):
        fetched(public.at("/"), policy(public, private, names={"intern.example": [[PRIVATE]]}))
    assert not private.requests


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://pictures.example/a", "http://user@pictures.example/"])
def test_a_redirect_to_another_kind_of_link_is_refused(where: str, public: Server) -> None:
    public.answers["/"] = moved(where)
    with pytest.raises(BadLink):
        fetched(public.at("/"), policy(public))


def test_redirects_without_end_are_refused(public: Server) -> None:
    public.answers["/"] = moved("/")
    with pytest.raises(BadLink, match="more than 3 times"):
        fetched(public.at("/"), policy(public))
    assert len(public.requests) == 4


def test_a_picture_announced_as_too_large_is_not_downloaded(public: Server) -> None:
    public.answers["/"] = lambda request: send(request, 200, {"Content-Length": "1001"})
    with pytest.raises(TooLarge):
        fetched(public.at("/"), policy(public))


def test_a_picture_that_turns_out_too_large_is_cut_short(public: Server) -> None:
    def endless(request: BaseHTTPRequestHandler) -> None:
        send(request, 200, {})
        for _ in range(100_000):
            request.wfile.write(b"x" * 1000)

    public.answers["/"] = _unbothered(endless)
    with pytest.raises(TooLarge):
        fetched(public.at("/"), policy(public))


@pytest.mark.parametrize("head", [b"", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.0 200 OK\r\n\r\n"])
def test_a_server_that_drips_is_given_up(head: bytes, public: Server) -> None:
    def drip(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(head)
        for _ in range(100):
            request.wfile.write(b"x")
            time.sleep(0.05)

    public.answers["/"] = _unbothered(drip)
    begun = time.monotonic()
    with pytest.raises(LinkFailed, match=r"within 0\.5 seconds"):
        fetched(public.at("/"), policy(public, seconds=0.5))
    assert time.monotonic() - begun < 3


def test_a_resolver_that_never_answers_is_given_up() -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        del host, port
        await asyncio.sleep(60)
        return []

    with pytest.raises(LinkFailed):
        fetched("http://pictures.example/", policy(resolver=never, seconds=0.2))


@pytest.mark.parametrize(
    ("status", "headers"), [(404, {}), (500, {}), (302, {}), (204, {}), (200, {"Content-Encoding": "gzip"})]
)
def test_what_is_no_picture_is_told(status: int, headers: dict[str, str], public: Server) -> None:
    public.answers["/"] = lambda request: send(request, status, headers)
    with pytest.raises(LinkFailed):
        fetched(public.at("/"), policy(public))


def test_a_server_that_breaks_off_is_told(public: Server) -> None:
    public.answers["/"] = lambda request: send(request, 200, {"Content-Length": "100"}, b"half")
    with pytest.raises(LinkFailed):
        fetched(public.at("/"), policy(public))


def test_nobody_listening_and_no_such_host_are_told(public: Server) -> None:
    with pytest.raises(LinkFailed):
        fetched(public.at("/"), policy(public, names={"pictures.example": [["127.0.0.3"]]}, allowed={"127.0.0.3"}))
    with pytest.raises(LinkFailed, match="not known"):
        fetched(public.at("/", host="nobody.example"), policy(public))


@pytest.mark.parametrize(("host", "error"), [("pictures.example", None), ("other.example", LinkFailed)])
def test_the_certificate_must_bear_the_name_of_the_link(
    host: str, error: type[InktallyError] | None, tmp_path: Path
) -> None:
    certificate = _certificate("pictures.example", tmp_path)
    serverside = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serverside.load_cert_chain(certificate)
    tls = ssl.create_default_context(cafile=str(certificate))
    with serving(PUBLIC, serverside) as server:
        how = policy(server, names={host: [[PUBLIC]]}, tls=tls)
        link = f"https://{host}:{server.port}/a.png"
        if error is None:
            assert fetched(link, how)[1] == PICTURE
        else:
            with pytest.raises(error):
                fetched(link, how)


def test_proxies_of_the_environment_are_not_asked(public: Server, private: Server) -> None:
    with pytest.MonkeyPatch.context() as environment:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            environment.setenv(name, private.at("", host=PRIVATE))
        fetched(public.at("/a.png"), policy(public))
    assert not private.requests


def _unbothered(answer: Answer) -> Answer:
    """A server that does not mind a client that leaves."""

    def answered(request: BaseHTTPRequestHandler) -> None:
        try:
            answer(request)
        except OSError:
            request.close_connection = True

    return answered


def _certificate(host: str, folder: Path) -> Path:
    """A certificate that signs itself, with its key, as PEM."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "server.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + secret)
    return path
