"""Runs nginx, Caddy and HAProxy with the configurations of `deploy/proxies`, in front of a router.

Only the lines that differ on each host are replaced: ports, names and certificates. Each proxy gets
the main file that it needs besides, with its temporary files in a folder of the test.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import ssl
import subprocess
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.e2e.peers import ROOT, debian_program
from tests.e2e.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SHIPPED: Final = ROOT / "deploy" / "proxies"
NAME: Final = "mcp.example.org"
"""The public name in the shipped files."""

PREFIX: Final = "/tools"
PROXIES: Final = ("nginx", "caddy", "haproxy")

START_LIMIT_S: Final = 30.0

NGINX_MAIN: Final = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {site};
}}
"""

CADDY_MAIN: Final = """
{{
	admin off
	auto_https disable_redirects
	grace_period 100ms
}}
import {site}
"""

HAPROXY_MAIN: Final = """
global
    maxconn 200
"""


# --- Certificates ----------------------------------------------------------------------------


@attrs.frozen
class Certificate:
    """A self-signed certificate for `NAME` and 127.0.0.1, with its key in files of PEM."""

    certificate: Path
    key: Path
    both: Path

    def trusted(self) -> ssl.SSLContext:
        """Return a context for clients that trust this certificate alone."""
        return ssl.create_default_context(cafile=str(self.certificate))


def make_certificate(folder: Path) -> Certificate:
    """Make a key and a certificate, valid for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    names = [x509.DNSName(NAME), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    made = Certificate(folder / "fullchain.pem", folder / "privkey.pem", folder / "both.pem")
    made.certificate.write_bytes(pem)
    made.key.write_bytes(key_pem)
    made.both.write_bytes(pem + key_pem)
    return made


# --- Configurations --------------------------------------------------------------------------


def adapted(file: str, changes: Mapping[str, str]) -> str:
    """Return a shipped file in which each of these lines is replaced, and no other.

    Raises:
        AssertionError: a line is not there, or not once.
    """
    lines = (SHIPPED / file).read_text().splitlines()
    bare = [line.strip() for line in lines]
    for line, replacement in changes.items():
        assert bare.count(line) == 1, (file, line)
        lines[bare.index(line)] = replacement
    return "\n".join(lines) + "\n"


@attrs.frozen
class Backends:
    """Host and port of each listener of the router."""

    http: str
    sse: str
    api: str


def _nginx(folder: Path, port: int, backends: Backends, certificate: Certificate) -> list[str]:
    changes = {
        "server 127.0.0.1:3000;": f"server {backends.http};",
        "server 127.0.0.1:3001;": f"server {backends.sse};",
        "server 127.0.0.1:8001;": f"server {backends.api};",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "ssl_certificate /etc/ssl/mcp.example.org/fullchain.pem;": (
            f"ssl_certificate {certificate.certificate};"
        ),
        "ssl_certificate_key /etc/ssl/mcp.example.org/privkey.pem;": (
            f"ssl_certificate_key {certificate.key};"
        ),
    }
    site, main = folder / "site.conf", folder / "nginx.conf"
    site.write_text(adapted("nginx.conf", changes))
    # Another user's processes could not write into the folder of the test.
    user = "user root;" if os.geteuid() == 0 else ""
    main.write_text(NGINX_MAIN.format(folder=folder, site=site, user=user))
    return ["-p", str(folder), "-c", str(main)]


def _caddy(folder: Path, port: int, backends: Backends, certificate: Certificate) -> list[str]:
    changes = {
        "mcp.example.org {": (
            f"https://{NAME}:{port} {{\n\ttls {certificate.certificate} {certificate.key}"
        ),
        "reverse_proxy 127.0.0.1:3000 {": f"reverse_proxy {backends.http} {{",
        "reverse_proxy 127.0.0.1:3001 {": f"reverse_proxy {backends.sse} {{",
        "reverse_proxy 127.0.0.1:8001 {": f"reverse_proxy {backends.api} {{",
    }
    site, main = folder / "Site.caddyfile", folder / "Caddyfile"
    site.write_text(adapted("Caddyfile", changes))
    main.write_text(CADDY_MAIN.format(site=site))
    return ["run", "--adapter", "caddyfile", "--config", str(main)]


def _haproxy(folder: Path, port: int, backends: Backends, certificate: Certificate) -> list[str]:
    changes = {
        "server router 127.0.0.1:3000": f"server router {backends.http}",
        "server router 127.0.0.1:3001": f"server router {backends.sse}",
        "server router 127.0.0.1:8001": f"server router {backends.api}",
        "bind :443 ssl crt /etc/haproxy/mcp.example.org.pem": (
            f"bind 127.0.0.1:{port} ssl crt {certificate.both}"
        ),
    }
    site, main = folder / "site.cfg", folder / "haproxy.cfg"
    site.write_text(adapted("haproxy.cfg", changes))
    main.write_text(HAPROXY_MAIN)
    return ["-db", "-f", str(main), "-f", str(site)]


_CONFIGURE: Final = {"nginx": _nginx, "caddy": _caddy, "haproxy": _haproxy}


# --- Processes -------------------------------------------------------------------------------


@contextmanager
def reverse_proxies(
    folder: Path, backends: Backends, certificate: Certificate
) -> Iterator[dict[str, int]]:
    """Run all proxies; yield the port of each."""
    with ExitStack() as running:
        ports = {name: free_port() for name in PROXIES}
        for name, port in ports.items():
            running.enter_context(_running(name, folder, port, backends, certificate))
        yield ports


@contextmanager
def _running(
    name: str, folder: Path, port: int, backends: Backends, certificate: Certificate
) -> Iterator[None]:
    program, env = debian_program(name)
    own = folder / name
    own.mkdir()
    words = _CONFIGURE[name](own, port, backends, certificate)
    with (own / "output.txt").open("w+") as output:
        # Caddy keeps its files in these folders.
        env |= {"HOME": str(own), "XDG_DATA_HOME": str(own), "XDG_CONFIG_HOME": str(own)}
        popen = subprocess.Popen([program, *words], stdout=output, stderr=output, env=env)
        try:
            _wait_until_listening(popen, port, own / "output.txt")
            yield
        finally:
            popen.terminate()
            popen.wait(START_LIMIT_S)


def _wait_until_listening(popen: subprocess.Popen[bytes], port: int, output: Path) -> None:
    ends_at_s = time.monotonic() + START_LIMIT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert popen.poll() is None, output.read_text()
            assert time.monotonic() < ends_at_s, output.read_text()
            time.sleep(0.01)  # not all of them say when they listen
        else:
            return
