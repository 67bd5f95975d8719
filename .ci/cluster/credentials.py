"""A `.creds` file, and the configuration of a broker that accepts it, as the broker's own tools create them: an operator
signs a token for an account, and the account signs a token for a user."""
import base64
import json
import subprocess
import time

# The first letter of a key names its kind. The values are shifted, because a letter has five bits.
OPERATOR, ACCOUNT, USER, SEED = 14 << 3, 0, 20 << 3, 18 << 3


def encoded(data):
    """Returns bytes and their CRC-16 (XMODEM) as base 32."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return base64.b32encode(data + crc.to_bytes(2, "little")).decode().rstrip("=")


class Key:
    """An Ed25519 key of an operator, an account or a user."""

    def __init__(self, kind, path):
        self.path = path
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", path], check=True)
        # The last 32 bytes of both forms are the key itself.
        raw = [subprocess.check_output(["openssl", "pkey", "-in", path, "-outform", "DER", *public])[-32:] for public in ([], ["-pubout"])]
        self.seed = encoded(bytes([SEED | kind >> 5, (kind & 31) << 3]) + raw[0])
        self.name = encoded(bytes([kind]) + raw[1])

    def sign(self, name, subject, **claims):
        """Returns a token with claims about the key `subject`, signed by this key."""
        def part(data):
            return base64.urlsafe_b64encode(data).decode().rstrip("=")
        body = {"jti": name, "iat": int(time.time()), "iss": self.name, "name": name, "sub": subject.name, "nats": {"version": 2, **claims}}
        text = part(b'{"typ":"JWT","alg":"ed25519-nkey"}') + "." + part(json.dumps(body).encode())
        unsigned = self.path.with_suffix(".unsigned")
        unsigned.write_text(text)
        return text + "." + part(subprocess.check_output(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.path, "-in", unsigned]))


def make(directory):
    """Returns the configuration of a broker, and the path of the file."""
    kinds = {"operator": OPERATOR, "system": ACCOUNT, "account": ACCOUNT, "user": USER}
    operator, system, account, user = (Key(kind, directory / f"{name}.key") for name, kind in kinds.items())
    free = dict.fromkeys(("subs", "data", "payload", "conn", "leaf", "imports", "exports", "mem_storage", "disk_storage", "streams", "consumer"), -1)
    token = account.sign("candle", user, type="user", subs=-1, data=-1, payload=-1)
    path = directory / "candle.creds"
    path.write_text(f"""-----BEGIN NATS USER JWT-----
{token}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
{user.seed}
------END USER NKEY SEED------
""")
    # The system account of a broker must not have streams.
    accounts = {
        system.name: operator.sign("system", system, type="account", limits={**free, "mem_storage": 0, "disk_storage": 0}),
        account.name: operator.sign("candle", account, type="account", limits={**free, "wildcards": True}),
    }
    config = f"""operator: {operator.sign("candle", operator, type="operator")}
        system_account: {system.name}
        resolver: MEMORY
        resolver_preload: {{ {", ".join(f"{name}: {token}" for name, token in accounts.items())} }}"""
    return config, path
