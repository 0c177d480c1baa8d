"""Which addresses of the internet we go to when a stranger tells us to: those that anybody could reach."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

UNICAST = IPv6Network("2000::/3")
"""All that is routed in IPv6; so neither loopback, local, multicast, IPv4-mapped nor NAT64 (64:ff9b::/32) is."""
REFUSED = (
    IPv4Network("0.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),  # carriers' NAT, and the metadata of Alibaba
    IPv4Network("168.63.129.16/32"),  # Azure's host, at a public address
    IPv4Network("192.0.0.0/24"),  # IETF protocols, and the metadata of Oracle
    IPv4Network("192.88.99.0/24"),  # relays of 6to4
    IPv4Network("198.18.0.0/15"),  # benchmarks
    IPv4Network("240.0.0.0/4"),
    IPv6Network("2001::/23"),  # IETF protocols: Teredo, ORCHID
    IPv6Network("2001:db8::/32"),
    IPv6Network("2002::/16"),  # 6to4, which carries IPv4
    IPv6Network("3fff::/20"),  # documentation
)
ISATAP = frozenset((0x00005EFE, 0x02005EFE))  # the third quarter of an address that carries IPv4


def is_public(text: str) -> bool:
    """Whether this numeric address leads to the public internet, and carries no other address that might not."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if address.is_multicast or not address.is_global or any(address in network for network in REFUSED):
        return False
    return isinstance(address, IPv4Address) or _is_plain_unicast(address)


def _is_plain_unicast(address: IPv6Address) -> bool:
    third_quarter = (int(address) >> 32) & 0xFFFFFFFF
    return address in UNICAST and not address.scope_id and third_quarter not in ISATAP
