"""Brokers that let in by TLS, user and password, or by credentials: who may come in does, and who may not hears why in one
line without a secret in it; and one that will not do."""
import asyncio
import json
import os
import socket
import ssl
import subprocess
import urllib.error
from unittest.mock import patch

from . import credentials
from .processes import PATIENCE, Process, free_ports, get, server, until

SECRET, WRONG = "hunter2-right", "hunter2-wrong"
FEED = "demo:?instruments=3&rate=100/s&speed=1"
# All that the server and the broker's client ever say.
ALL_SAID = {"CANDLE_LOG": "trace"}


def openssl(directory, *arguments):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, stderr=subprocess.DEVNULL)


def certificates(directory):
    """An authority, a broker's certificate and a server's by it, and another authority that knows of neither."""
    for name in ("authority", "stranger"):
        openssl(directory, "req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
    openssl(directory, "req", "-newkey", "ed25519", "-nodes", "-subj", "/CN=broker", "-keyout", "broker.key", "-out", "broker.csr")
    (directory / "names").write_text("subjectAltName = IP:127.0.0.1\n")
    openssl(directory, "x509", "-req", "-in", "broker.csr", "-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "broker.pem")
    openssl(directory, "req", "-newkey", "ed25519", "-nodes", "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr")
    openssl(directory, "x509", "-req", "-in", "server.csr", "-CA", "authority.pem", "-CAkey", "authority.key", "-days", "2", "-extfile", "names", "-out", "server.pem")


async def broker(program, directory, name, settings):
    """A single broker, at the port that is returned with it."""
    (port,) = free_ports(1)
    config = directory / f"{name}.conf"
    config.write_text(f"""listen: 127.0.0.1:{port}
        jetstream {{ store_dir: "{directory}/{name}" }}
        {settings}""")
    process = await Process(program, "-c", config, log=directory / f"{name}.log").start()
    await until("the broker", lambda: "Server is ready" in (directory / f"{name}.log").read_text())
    return process, port


async def works(target, directory, name, log, *arguments):
    """A gateway and a node that it lets in: the node shows what the gateway wrote."""
    servers = [await server(target, directory, f"{name}-gateway", "--feed", FEED, "--publish", log, "--nats-replicas", "1", "--nats-max-bytes", str(64 << 20), *arguments)]
    try:
        servers.append(await server(target, directory, f"{name}-node", "--feed", log, *arguments))
        async def shows():
            try:
                return (await get(servers[1].port, "/instruments/0"))["lastQuoteTimestamp"]
            except urllib.error.HTTPError:
                return None
        await until("a quote", shows)
    finally:
        for process in servers:
            await process.end()
    for process in servers:
        assert SECRET not in process.log.read_text(), process.log
    return f"{name}: a gateway and a node work"


async def refused(target, directory, name, names, *arguments):
    """Neither a node nor a gateway is let in: each ends with one line, which names what to look at."""
    for role in (["--feed"], ["--feed", FEED, "--publish"]):
        path = directory / f"{name}-refused.log"
        path.unlink(missing_ok=True)
        process = await Process(f"{target}/candle-server", "--listen", "127.0.0.1:0", *role, *arguments, log=path).start()
        try:
            code = await asyncio.wait_for(process.process.wait(), PATIENCE)
        finally:
            await process.end()
        lines = [line for line in path.read_text().splitlines() if line.startswith("candle-server: ")]
        assert code in (1, 2) and len(lines) == 1 and names in lines[0], (name, role, code, path.read_text())
        # Where all is said the client says each try.
        assert " ERROR " not in path.read_text() or "CANDLE_LOG" in os.environ, path.read_text()
        assert WRONG not in path.read_text() and SECRET not in path.read_text(), path.read_text()
    return lines[0]


def told_of_another(listener, certificate, key, other):
    """A broker that asks for TLS, tells of one at the port `other`, and is gone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with listener, listener.accept()[0] as connection:
        info = {"server_id": "A", "version": "2.15.1", "max_payload": 1 << 20, "tls_required": True, "connect_urls": [f"127.0.0.1:{other}"]}
        connection.sendall(f"INFO {json.dumps(info)}\r\n".encode())
        with context.wrap_socket(connection, server_side=True) as secured, secured.makefile("rb") as lines:
            while (line := lines.readline()) != b"PING\r\n":
                assert line, "the server has gone"
            secured.sendall(b"PONG\r\n")


def first_words(listener):
    """What a broker without TLS is told first."""
    with listener, listener.accept()[0] as connection:
        connection.settimeout(PATIENCE)
        connection.sendall(b'INFO {"server_id": "B", "version": "2.15.1", "max_payload": 1048576}\r\n')
        return connection.recv(4096)


async def secured_everywhere(target, directory, *arguments):
    """Where the address says TLS, a broker that another one tells of gets no user and password without it either."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    first, other = (listener.getsockname()[1] for listener in listeners)
    for listener in listeners:
        listener.settimeout(PATIENCE)
    node = Process(f"{target}/candle-server", "--listen", "127.0.0.1:0", "--feed", f"tls://candle:{SECRET}@127.0.0.1:{first}/QUOTES", *arguments, log=directory / "told.log")
    await node.start()
    try:
        telling = asyncio.to_thread(told_of_another, listeners[0], directory / "broker.pem", directory / "broker.key", other)
        _, words = await asyncio.gather(telling, asyncio.to_thread(first_words, listeners[1]))
    finally:
        await node.end()
    # The first byte of a handshake of TLS.
    assert words[:1] == b"\x16", words
    return "a broker without TLS, told of by one with it: gets no word"


async def try_all(target, program, directory):
    """Every way in, and what was seen of it."""
    certificates(directory)
    tls = f"""tls {{ cert_file: "{directory}/broker.pem", key_file: "{directory}/broker.key" }}
        authorization {{ users: [ {{ user: candle, password: "{SECRET}" }} ] }}"""
    let_in, credentials_file = credentials.make(directory)
    asking = f"""tls {{ cert_file: "{directory}/broker.pem", key_file: "{directory}/broker.key", ca_file: "{directory}/authority.pem", verify: true }}"""
    (secured, port), (vouching, other), (short, third), (wary, fourth) = await asyncio.gather(
        broker(program, directory, "tls", tls),
        broker(program, directory, "credentials", let_in),
        broker(program, directory, "short", "max_payload: 65536"),
        broker(program, directory, "asking", asking),
    )
    try:
        def log(password):
            return f"tls://candle:{password}@127.0.0.1:{port}/QUOTES"
        authority = ["--nats-ca", directory / "authority.pem"]
        plain = f"nats://127.0.0.1:{other}/QUOTES"
        asked = f"tls://127.0.0.1:{fourth}/QUOTES"
        identity = ["--nats-certificate", directory / "server.pem", "--nats-key", directory / "server.key"]
        with patch.dict(os.environ, ALL_SAID):
            seen = [
                await works(target, directory, "TLS and password, all said", log(SECRET), *authority),
                await refused(target, directory, "a wrong password, all said", "password", log(WRONG), *authority),
            ]
        return [
            *seen,
            await secured_everywhere(target, directory, *authority),
            await works(target, directory, "credentials", plain, "--nats-credentials", credentials_file),
            await refused(target, directory, "a wrong password", "password", log(WRONG), *authority),
            await refused(target, directory, "an untrusted certificate", "--nats-ca", log(SECRET)),
            await refused(target, directory, "another authority", "--nats-ca", log(SECRET), "--nats-ca", directory / "stranger.pem"),
            await refused(target, directory, "a missing file", "--nats-ca", log(SECRET), "--nats-ca", directory / "nothing.pem"),
            await works(target, directory, "a certificate of its own", asked, *authority, *identity),
            await refused(target, directory, "no certificate of its own", "--nats-certificate", asked, *authority),
            await refused(target, directory, "a certificate without a key", "--nats-key", asked, *authority, *identity[:2]),
            await refused(target, directory, "a missing key", "--nats-key", asked, *authority, *identity[:3], directory / "nothing.key"),
            await refused(target, directory, "no credentials", "--nats-credentials", plain),
            await refused(target, directory, "short messages", "max_payload", f"nats://127.0.0.1:{third}/QUOTES"),
        ]
    finally:
        await asyncio.gather(secured.end(), vouching.end(), short.end(), wary.end())
