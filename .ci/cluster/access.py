"""Authentication at brokers with TLS, with user and password, and with credentials. Accepted servers work. Refused servers
report the reason in one line that contains no secret."""
import asyncio
import json
import os
import socket
import ssl
import subprocess
import urllib.error
from unittest.mock import patch

from . import credentials
from .processes import TIMEOUT, Process, free_ports, get, start_server, wait_until

SECRET, WRONG = "hunter2-right", "hunter2-wrong"
FEED = "demo:?instruments=3&rate=100/s&speed=1"
# Logs every line of the server and of the NATS client.
LOG_EVERYTHING = {"CANDLE_LOG": "trace"}


def openssl(directory, *arguments):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, stderr=subprocess.DEVNULL)


def certificates(directory):
    """Creates an authority that signs the certificates of a broker and of a server, and another authority that signs none."""
    for name in ("authority", "stranger"):
        openssl(directory, "req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
    openssl(directory, "req", "-newkey", "ed25519", "-nodes", "-subj", "/CN=broker", "-keyout", "broker.key", "-out", "broker.csr")
    (directory / "names").write_text("subjectAltName = IP:127.0.0.1\n")
    openssl(directory, "x509", "-req", "-in", "broker.csr", "-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "broker.pem")
    openssl(directory, "req", "-newkey", "ed25519", "-nodes", "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr")
    openssl(directory, "x509", "-req", "-in", "server.csr", "-CA", "authority.pem", "-CAkey", "authority.key", "-days", "2", "-extfile", "names", "-out", "server.pem")


async def broker(program, directory, name, settings):
    """Starts a single broker. Returns it with its port."""
    (port,) = free_ports(1)
    config = directory / f"{name}.conf"
    config.write_text(f"""listen: 127.0.0.1:{port}
        jetstream {{ store_dir: "{directory}/{name}" }}
        {settings}""")
    process = await Process(program, "-c", config, log=directory / f"{name}.log").start()
    await wait_until("the broker", lambda: "Server is ready" in (directory / f"{name}.log").read_text())
    return process, port


async def check_accepted(target, directory, name, log, *arguments):
    """Checks that the broker accepts a gateway and a node: the node shows the quotes of the gateway."""
    servers = [await start_server(target, directory, f"{name}-gateway", "--feed", FEED, "--publish", log, "--nats-replicas", "1", "--nats-max-bytes", str(64 << 20), *arguments)]
    try:
        servers.append(await start_server(target, directory, f"{name}-node", "--feed", log, *arguments))
        async def has_quote():
            try:
                return (await get(servers[1].port, "/instruments/0"))["lastQuoteTimestamp"]
            except urllib.error.HTTPError:
                return None
        await wait_until("a quote", has_quote)
    finally:
        for process in servers:
            await process.end()
    for process in servers:
        assert SECRET not in process.log.read_text(), process.log
    return f"{name}: a gateway and a node work"


async def check_refused(target, directory, name, hint, *arguments):
    """Checks that the broker refuses a node and a gateway: each ends with one line, which contains the hint."""
    for role in (["--feed"], ["--feed", FEED, "--publish"]):
        path = directory / f"{name}-refused.log"
        path.unlink(missing_ok=True)
        process = await Process(f"{target}/candle-server", "--listen", "127.0.0.1:0", *role, *arguments, log=path).start()
        try:
            code = await asyncio.wait_for(process.process.wait(), TIMEOUT)
        finally:
            await process.end()
        lines = [line for line in path.read_text().splitlines() if line.startswith("candle-server: ")]
        assert code in (1, 2) and len(lines) == 1 and hint in lines[0], (name, role, code, path.read_text())
        # With the most verbose log, the NATS client logs each failed attempt.
        assert " ERROR " not in path.read_text() or "CANDLE_LOG" in os.environ, path.read_text()
        assert WRONG not in path.read_text() and SECRET not in path.read_text(), path.read_text()
    return lines[0]


def announce_other_broker(listener, certificate, key, other):
    """Acts as a broker that requires TLS, announces a broker at the port `other`, and disconnects."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with listener, listener.accept()[0] as connection:
        info = {"server_id": "A", "version": "2.15.1", "max_payload": 1 << 20, "tls_required": True, "connect_urls": [f"127.0.0.1:{other}"]}
        connection.sendall(f"INFO {json.dumps(info)}\r\n".encode())
        with context.wrap_socket(connection, server_side=True) as secured, secured.makefile("rb") as lines:
            while (line := lines.readline()) != b"PING\r\n":
                assert line, "the server has disconnected"
            secured.sendall(b"PONG\r\n")


def first_bytes(listener):
    """Acts as a broker without TLS. Returns the first bytes that it receives."""
    with listener, listener.accept()[0] as connection:
        connection.settimeout(TIMEOUT)
        connection.sendall(b'INFO {"server_id": "B", "version": "2.15.1", "max_payload": 1048576}\r\n')
        return connection.recv(4096)


async def check_tls_everywhere(target, directory, *arguments):
    """Checks that an address with TLS requires TLS of announced brokers too: user and password are never sent without it."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    first, other = (listener.getsockname()[1] for listener in listeners)
    for listener in listeners:
        listener.settimeout(TIMEOUT)
    node = Process(f"{target}/candle-server", "--listen", "127.0.0.1:0", "--feed", f"tls://candle:{SECRET}@127.0.0.1:{first}/QUOTES", *arguments, log=directory / "announced.log")
    await node.start()
    try:
        announcing = asyncio.to_thread(announce_other_broker, listeners[0], directory / "broker.pem", directory / "broker.key", other)
        _, received = await asyncio.gather(announcing, asyncio.to_thread(first_bytes, listeners[1]))
    finally:
        await node.end()
    # The first byte of a TLS handshake.
    assert received[:1] == b"\x16", received
    return "an announced broker without TLS: receives no user and password"


async def check_all(target, program, directory):
    """Checks every way of authentication. Returns a line of each."""
    certificates(directory)
    tls = f"""tls {{ cert_file: "{directory}/broker.pem", key_file: "{directory}/broker.key" }}
        authorization {{ users: [ {{ user: candle, password: "{SECRET}" }} ] }}"""
    credentials_config, credentials_file = credentials.make(directory)
    mutual_tls = f"""tls {{ cert_file: "{directory}/broker.pem", key_file: "{directory}/broker.key", ca_file: "{directory}/authority.pem", verify: true }}"""
    (password_broker, password_port), (credentials_broker, credentials_port), (short_broker, short_port), (mutual_broker, mutual_port) = await asyncio.gather(
        broker(program, directory, "tls", tls),
        broker(program, directory, "credentials", credentials_config),
        broker(program, directory, "short", "max_payload: 65536"),
        broker(program, directory, "mutual", mutual_tls),
    )
    try:
        def log(password):
            return f"tls://candle:{password}@127.0.0.1:{password_port}/QUOTES"
        authority = ["--nats-ca", directory / "authority.pem"]
        plain = f"nats://127.0.0.1:{credentials_port}/QUOTES"
        mutual = f"tls://127.0.0.1:{mutual_port}/QUOTES"
        identity = ["--nats-certificate", directory / "server.pem", "--nats-key", directory / "server.key"]
        with patch.dict(os.environ, LOG_EVERYTHING):
            with_full_log = [
                await check_accepted(target, directory, "TLS and password, full log", log(SECRET), *authority),
                await check_refused(target, directory, "a wrong password, full log", "password", log(WRONG), *authority),
            ]
        return [
            *with_full_log,
            await check_tls_everywhere(target, directory, *authority),
            await check_accepted(target, directory, "credentials", plain, "--nats-credentials", credentials_file),
            await check_refused(target, directory, "a wrong password", "password", log(WRONG), *authority),
            await check_refused(target, directory, "an untrusted certificate", "--nats-ca", log(SECRET)),
            await check_refused(target, directory, "another authority", "--nats-ca", log(SECRET), "--nats-ca", directory / "stranger.pem"),
            await check_refused(target, directory, "a missing file", "--nats-ca", log(SECRET), "--nats-ca", directory / "nothing.pem"),
            await check_accepted(target, directory, "a client certificate", mutual, *authority, *identity),
            await check_refused(target, directory, "no client certificate", "--nats-certificate", mutual, *authority),
            await check_refused(target, directory, "a certificate without a key", "--nats-key", mutual, *authority, *identity[:2]),
            await check_refused(target, directory, "a missing key", "--nats-key", mutual, *authority, *identity[:3], directory / "nothing.key"),
            await check_refused(target, directory, "no credentials", "--nats-credentials", plain),
            await check_refused(target, directory, "short messages", "max_payload", f"nats://127.0.0.1:{short_port}/QUOTES"),
        ]
    finally:
        await asyncio.gather(password_broker.end(), credentials_broker.end(), short_broker.end(), mutual_broker.end())
