"""A `.creds` file and a broker's configuration that lets it in, as the broker's own tools would make them: an operator
vouches for an account, and the account for a user, each by a signed token."""
import base64
import json
import subprocess
import time

# The first letter of a key says what it is of; shifted, as five bits are one letter.
OPERATOR, ACCOUNT, USER, SEED = 14 << 3, 0, 20 << 3, 18 << 3


def checked(data):
    """Letters for bytes and their CRC-16 (XMODEM)."""
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
        self.seed = checked(bytes([SEED | kind >> 5, (kind & 31) << 3]) + raw[0])
        self.name = checked(bytes([kind]) + raw[1])

    def vouch(self, name, subject, **claims):
        """A token of this key's that says so of another."""
        def part(what):
            return base64.urlsafe_b64encode(what).decode().rstrip("=")
        said = {"jti": name, "iat": int(time.time()), "iss": self.name, "name": name, "sub": subject.name, "nats": {"version": 2, **claims}}
        text = part(b'{"typ":"JWT","alg":"ed25519-nkey"}') + "." + part(json.dumps(said).encode())
        unsigned = self.path.with_suffix(".unsigned")
        unsigned.write_text(text)
        return text + "." + part(subprocess.check_output(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.path, "-in", unsigned]))


def make(directory):
    """What a broker must be told, and the path of the file."""
    kinds = {"operator": OPERATOR, "system": ACCOUNT, "account": ACCOUNT, "user": USER}
    operator, system, account, user = (Key(kind, directory / f"{name}.key") for name, kind in kinds.items())
    free = dict.fromkeys(("subs", "data", "payload", "conn", "leaf", "imports", "exports", "mem_storage", "disk_storage", "streams", "consumer"), -1)
    token = account.vouch("candle", user, type="user", subs=-1, data=-1, payload=-1)
    path = directory / "candle.creds"
    path.write_text(f"""-----BEGIN NATS USER JWT-----
{token}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
{user.seed}
------END USER NKEY SEED------
""")
    # The broker's own account holds no streams.
    accounts = {
        system.name: operator.vouch("system", system, type="account", limits={**free, "mem_storage": 0, "disk_storage": 0}),
        account.name: operator.vouch("candle", account, type="account", limits={**free, "wildcards": True}),
    }
    config = f"""operator: {operator.vouch("candle", operator, type="operator")}
        system_account: {system.name}
        resolver: MEMORY
        resolver_preload: {{ {", ".join(f"{name}: {token}" for name, token in accounts.items())} }}"""
    return config, path
