"""The public addresses are those that IANA's registries do not set aside."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from transports.outbound.addresses import is_public


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "93.184.215.14"),
        *("100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0"),
        *("169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0"),
        *("192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0"),
        *("198.17.255.255", "198.20.0.0", "223.255.255.255"),
        *("2000::", "2606:4700:4700::1111", "2001:200::1", "2001:db7::1", "2001:db9::1"),
        *("3ffe::1", "3fff:1000::1", "2003::1"),
    ],
)
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        # Unspecified, loopback, private, link-local
        *("0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.255", "::", "::1"),
        *("10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255"),
        *("192.168.0.0", "192.168.255.255", "fc00::1", "fd00:ec2::254"),
        *("169.254.0.0", "169.254.169.254", "fe80::1", "febf::1", "fec0::1"),
        # Shared by carriers, documentation, benchmarking
        *("100.64.0.0", "100.100.100.200", "100.127.255.255"),
        *("192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1", "3fff:fff::1"),
        *("198.18.0.0", "198.19.255.255", "2001:2::1"),
        # Protocols, relays, multicast, reserved, broadcast
        *("192.0.0.1", "192.0.0.192", "192.88.99.1", "168.63.129.16", "2001:1ff:ffff::1"),
        *("2001:20::1", "224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"),
        *("240.0.0.1", "255.255.255.255", "100::1", "5f00::1", "1fff::1", "4000::1"),
    ],
)
def test_an_address_that_is_set_aside_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "form",
    [
        "::ffff:{}",  # mapped
        "::{}",  # compatible
        "::ffff:0:{}",  # translated
        "64:ff9b::{}",  # NAT64
        "2002:{hex}::1",  # 6to4
        "2001:0:808:808::{inverted}",  # Teredo, its client
        "2001:0:{hex}::f7f7:f7f7",  # Teredo, its server
    ],
)
def test_an_address_is_as_public_as_the_one_it_embeds(form: str) -> None:
    def embedding(address: str) -> str:
        digits = int(ip_address(address))
        return form.format(
            address,
            hex=f"{digits >> 16:x}:{digits & 0xFFFF:x}",
            inverted=f"{digits >> 16 ^ 0xFFFF:x}:{digits & 0xFFFF ^ 0xFFFF:x}",
        )

    assert is_public(ip_address(embedding("8.8.8.8")))
    for address in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "224.0.0.1"):
        assert not is_public(ip_address(embedding(address)))


@pytest.mark.parametrize("address", ["64:ff9b:1::7f00:1", "64:ff9b:1::808:808", "64:ff9b:2::1"])
def test_an_address_that_nobody_but_the_translator_can_read_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["fe80::1%eth0", "2606:4700::1%eth0", "ff02::1%1"])
def test_an_address_with_a_zone_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))
