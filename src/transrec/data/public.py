"""Public: connections that lead to the public internet only, whatever a name says of itself."""

from __future__ import annotations

import ipaddress
import socket

from transrec.errors import NotPublicError


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, also one that is wrapped in an IPv6 address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None:
            return is_public(str(inner))
        if ip in ipaddress.ip_network("64:ff9b::/96"):
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
    return ip.is_global and not ip.is_multicast


def public_address(host: str, port: int) -> tuple[str, int]:
    """An address and port of a host, after all that it has are known to be public.

    Raises:
        NotPublicError: one of them is not.
        OSError: the name is not known.
    """
    found = {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    if not found or not all(is_public(address) for address in found):
        raise NotPublicError(f"{host} is not on the public internet")
    return min(found), port


def connect_public(address: tuple[str, int], timeout: float, *_: object) -> socket.socket:
    """A connection to a host, looked up once: what was checked is what is asked.

    Args:
        address: host and port.
        timeout: in seconds.

    Raises:
        NotPublicError: the host is not on the public internet.
        OSError: it does not answer.
    """
    return socket.create_connection(public_address(*address), timeout)
