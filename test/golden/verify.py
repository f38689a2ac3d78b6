#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check the golden vectors with an implementation that shares no code with the library.

It is written from the comments of lib/id.h, lib/keyring.h, lib/passphrase.h, lib/record.h and lib/router.h and from
the published specifications: BLAKE2b is Python's own hashlib, everything else is below. XSalsa20 after
"Extending the Salsa20 nonce" (Bernstein, 2011) and the Salsa20 specification (2005); Poly1305 after
RFC 8439 section 2.5; secretbox as NaCl defines it; CBOR after RFC 8949. Slow, and not in constant
time: for test vectors only.

    python3 test/golden/verify.py        prints "N vectors verified" or what differs
"""
import base64
import decimal
import fractions
import hashlib
import os
import struct
import sys

# ---- secretbox ----------------------------------------------------------------------------------

MASK = 0xFFFFFFFF


def rotl(v, n):
    return ((v << n) | (v >> (32 - n))) & MASK


def quarter(x, a, b, c, d):
    x[b] ^= rotl((x[a] + x[d]) & MASK, 7)
    x[c] ^= rotl((x[b] + x[a]) & MASK, 9)
    x[d] ^= rotl((x[c] + x[b]) & MASK, 13)
    x[a] ^= rotl((x[d] + x[c]) & MASK, 18)


def double_rounds(x):
    for _ in range(10):
        quarter(x, 0, 4, 8, 12)
        quarter(x, 5, 9, 13, 1)
        quarter(x, 10, 14, 2, 6)
        quarter(x, 15, 3, 7, 11)
        quarter(x, 0, 1, 2, 3)
        quarter(x, 5, 6, 7, 4)
        quarter(x, 10, 11, 8, 9)
        quarter(x, 15, 12, 13, 14)


def salsa_input(key, sixteen):
    c = struct.unpack("<4I", b"expand 32-byte k")
    k = struct.unpack("<8I", key)
    n = struct.unpack("<4I", sixteen)
    return [c[0], *k[:4], c[1], *n, c[2], *k[4:], c[3]]


def hsalsa20(key, sixteen):
    x = salsa_input(key, sixteen)
    double_rounds(x)
    return struct.pack("<8I", *(x[i] for i in (0, 5, 10, 15, 6, 7, 8, 9)))


def salsa20_block(key, nonce8, counter):
    start = salsa_input(key, nonce8 + struct.pack("<Q", counter))
    x = list(start)
    double_rounds(x)
    return struct.pack("<16I", *((a + b) & MASK for a, b in zip(x, start)))


def xsalsa20_stream(key, nonce24, length):
    sub = hsalsa20(key, nonce24[:16])
    out = b""
    counter = 0
    while len(out) < length:
        out += salsa20_block(sub, nonce24[16:], counter)
        counter += 1
    return out[:length]


def poly1305(key, message):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    s = int.from_bytes(key[16:], "little")
    acc = 0
    for i in range(0, len(message), 16):
        acc = (acc + int.from_bytes(message[i : i + 16] + b"\x01", "little")) * r % (2**130 - 5)
    return ((acc + s) % 2**128).to_bytes(16, "little")


def secretbox(plaintext, nonce, key):
    stream = xsalsa20_stream(key, nonce, 32 + len(plaintext))
    cipher = bytes(a ^ b for a, b in zip(plaintext, stream[32:]))
    return poly1305(stream[:32], cipher) + cipher


def secretbox_open(box, nonce, key):
    cipher = box[16:]
    stream = xsalsa20_stream(key, nonce, 32 + len(cipher))
    if len(box) < 16 or poly1305(stream[:32], cipher) != box[:16]:
        raise ValueError("does not open")
    return bytes(a ^ b for a, b in zip(cipher, stream[32:]))


# ---- ids, keys, envelopes -----------------------------------------------------------------------


def blake(data, size=32, key=b"", person=b""):
    return hashlib.blake2b(data, digest_size=size, key=key, person=person).digest()


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def id_name(raw_id):
    return blake(raw_id, size=24, person=b"cloakroom-name-1")


def key_id(master):
    return blake(b"cloakroom-keyid1", key=master)[:4]


def user_hash(key, domain, user):
    return blake(domain + user, size=24, key=key)


def prefix_hash(prefix):
    return blake(prefix)


def subkey(master, prefix, raw_id, header, successor):
    return blake(b"cloakroom-seal-1" + prefix_hash(prefix) + raw_id + header + successor, key=master)


def seal(form, master, prefix, raw_id, nonce, successor, plaintext):
    header = bytes([form, 0]) + key_id(master)
    key = subkey(master, prefix, raw_id, header, successor)
    return header + nonce + successor + secretbox(plaintext, nonce, key)


def open_value(value, master, prefix, raw_id):
    header, nonce = value[:6], value[6:30]
    if header[0] not in (1, 2, 3) or header[1] != 0 or header[2:] != key_id(master):
        raise ValueError("another format, flags or key")
    successor = b"" if header[0] == 1 else value[30:54]
    box = value[30 + len(successor) :]
    return successor, secretbox_open(box, nonce, subkey(master, prefix, raw_id, header, successor))


# ---- records ------------------------------------------------------------------------------------


def head(major, arg):
    if arg < 24:
        return bytes([major << 5 | arg])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if arg < 1 << 8 * size:
            return bytes([major << 5 | info]) + arg.to_bytes(size, "big")
    raise ValueError("too large")


def encode(value):
    if value is True or value is False:
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        text = value.encode()
        return head(3, len(text)) + text
    pairs = sorted((encode(k), encode(v)) for k, v in value.items())
    return head(5, len(pairs)) + b"".join(k + v for k, v in pairs)


def decode(data, at=0):
    """The item at `at` and where it ends; only what the vectors' known fields use."""
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    arg = info
    if 24 <= info <= 27:
        size = 1 << (info - 24)
        arg = int.from_bytes(data[at : at + size], "big")
        at += size
    elif info > 27:
        raise ValueError("not deterministic")
    if major == 0:
        return arg, at
    if major == 1:
        return -1 - arg, at
    if major in (2, 3):
        raw = data[at : at + arg]
        return (raw if major == 2 else raw.decode()), at + arg
    if major == 4:
        items = []
        for _ in range(arg):
            item, at = decode(data, at)
            items.append(item)
        return tuple(items), at
    if major == 5:
        result = {}
        for _ in range(arg):
            key, at = decode(data, at)
            result[key], at = decode(data, at)
        return result, at
    if major == 6:
        item, at = decode(data, at)
        return ("tag", arg, item), at
    return {20: False, 21: True}.get(info, ("simple", info, arg)), at


FIELDS = ["created", "absolute", "idle", "renewed", "authenticated", "user", "serial", "label"]
FIELDS += ["csrf", "attrs", "marks"]


def record_fields(block):
    """A block of records.txt as the map it stands for, and its kept items as bytes."""
    fields, kept = {}, b""
    attrs = {}
    for word, rest in block:
        if word in ("bytes", "text", "i64", "bool"):
            name, value = rest.split(" ")
            name = unhex(name).decode()
            attrs[name] = {
                "bytes": lambda v: unhex(v),
                "text": lambda v: unhex(v).decode(),
                "i64": int,
                "bool": lambda v: v == "1",
            }[word](value)
        elif word == "unknown":
            kept = unhex(rest)
        elif word in ("user", "label"):
            fields[FIELDS.index(word) + 1] = unhex(rest).decode()
        elif word in ("serial", "csrf", "marks"):
            fields[FIELDS.index(word) + 1] = unhex(rest)
        elif word != "record":
            fields[FIELDS.index(word) + 1] = int(rest)
    if attrs:
        fields[10] = attrs
    return fields, kept


def pairs_of(raw):
    """Encoded key to encoded value, of pairs one after the other."""
    at, pairs = 0, {}
    while at < len(raw):
        _, middle = decode(raw, at)
        _, end = decode(raw, middle)
        pairs[raw[at:middle]] = raw[middle:end]
        at = end
    return pairs


def encode_record(fields, kept):
    pairs = pairs_of(kept)
    for key, value in fields.items():
        pairs[encode(key)] = encode(value)
    return head(5, len(pairs)) + b"".join(k + pairs[k] for k in sorted(pairs))


def decode_record(data):
    """The known fields and the kept items of a record, as record_fields() gives them."""
    _, end = decode(data)
    if end != len(data):
        raise ValueError("bytes after the record")
    pairs = pairs_of(data[len(head(5, len(decode(data)[0]))) :])
    known = {encode(i): i for i in range(1, 12)}
    fields = {known[k]: decode(v)[0] for k, v in pairs.items() if k in known}
    return fields, b"".join(k + pairs[k] for k in sorted(pairs) if k not in known)


# ---- routes -------------------------------------------------------------------------------------

MASK64 = (1 << 64) - 1


def mix(x):
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK64
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK64
    return x ^ x >> 31


def fnv1a(data):
    x = 0xCBF29CE484222325
    for byte in data:
        x = (x ^ byte) * 0x100000001B3 & MASK64
    return x


def log2_steps():
    """log2(1 + i / 256) * 2^31 rounded down, for i in 0..256."""
    decimal.getcontext().prec = 50
    two = decimal.Decimal(2).ln()
    return [int((decimal.Decimal(256 + i) / 256).ln() / two * 2**31) for i in range(257)]


LOG2 = log2_steps()


def cost(value):
    bits = bin(value | 1)[3:]  # what follows the first one
    i, r = int((bits + "0" * 64)[:8], 2), int((bits + "0" * 64)[8:40], 2)
    return 64 * 2**31 - (len(bits) * 2**31 + LOG2[i] + ((LOG2[i + 1] - LOG2[i]) * r >> 32))


def route(ring, name):
    """The owner of a name among (name, weight) pairs."""
    n = int.from_bytes(name[:8].encode(), "big")
    best = None
    for shard, weight in ring:
        value = mix(mix(fnv1a(shard.encode())) ^ n)
        lot = (fractions.Fraction(cost(value), weight), -value)
        if best is None or lot < best[0]:
            best = (lot, shard)
    return best[1]


def ring_of(text):
    pairs = (item.partition("*") for item in text.split(","))
    return [(name, int(weight or 1)) for name, _, weight in pairs]


# ---- the files ----------------------------------------------------------------------------------


def unhex(text):
    return b"" if text == "-" else bytes.fromhex(text)


def blocks(name):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    block = []
    with open(path, encoding="ascii") as f:
        for line in list(f) + ["\n"]:
            line = line.rstrip("\n")
            if line.startswith("#"):
                continue
            if line:
                block.append(tuple(line.split(" ", 1)))
            elif block:
                yield block
                block = []


failures = []
count = 0


def expect(what, got, want):
    global count
    count += 1
    if got != want:
        failures.append(f"{what}: {got!r}, not {want!r}")


def check_values():
    for block in blocks("ids.txt"):
        b = dict(block)
        raw = unhex(b["id"])
        expect("id text", b64url(raw), b["id_text"])
        expect("id of text", base64.urlsafe_b64decode(b["id_text"]), raw)
        expect("name", id_name(raw), unhex(b["name"]))
        expect("name text", b64url(id_name(raw)), b["name_text"])
    for block in blocks("keys.txt"):
        b = dict(block)
        raw = unhex(b["key"])
        expect("base64", base64.b64decode(b["base64"]), raw)
        expect("base64url", base64.urlsafe_b64decode(b["base64url"] + "="), raw)
        expect("key id", key_id(raw), unhex(b["key_id"]))
    for block in blocks("prefixes.txt"):
        b = dict(block)
        expect("prefix hash", prefix_hash(unhex(b["prefix"])), unhex(b["hash"]))
    for block in blocks("users.txt"):
        b = dict(block)
        key, user = unhex(b["key"]), unhex(b["user"])
        expect("user id", user_hash(key, b"cloakroom-user-1", user), unhex(b["id"]))
        expect("user name", user_hash(key, b"cloakroom-uname1", user), unhex(b["name"]))


def check_passphrases():
    """Argon2id by the package cryptography, where it is installed: 256 MiB are too many for Python."""
    try:
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
    except ImportError:
        print("passphrases.txt: not verified, for the Python package cryptography (44 or later) is missing")
        return
    for block in blocks("passphrases.txt"):
        b = dict(block)
        salt = blake(b"cloakroom-salt-1" + unhex(b["salt"]), size=16)
        kdf = Argon2id(salt=salt, length=32, iterations=3, lanes=1, memory_cost=256 * 1024)
        expect("key of a passphrase", kdf.derive(unhex(b["passphrase"])), unhex(b["key"]))


def check_records():
    for block in blocks("records.txt"):
        raw = unhex(dict(block)["record"])
        fields, kept = record_fields(block)
        expect("record", encode_record(fields, kept), raw)
        expect("fields", decode_record(raw), (fields, kept))


def check_envelopes():
    for block in blocks("envelopes.txt"):
        b = dict(block)
        key, prefix, raw_id, nonce, value, plaintext = (
            unhex(b[w]) for w in ("key", "prefix", "id", "nonce", "value", "plaintext")
        )
        successor = unhex(b.get("successor", "-"))
        sealed = seal(int(b["format"]), key, prefix, raw_id, nonce, successor, plaintext)
        expect("sealed value", sealed, value)
        expect("opened value", open_value(value, key, prefix, raw_id), (successor, plaintext))
        for at in range(len(value)):
            changed = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
            try:
                open_value(changed, key, prefix, raw_id)
                expect("changed value", "opens", "does not open")
            except ValueError:
                pass


def check_routes():
    for block in blocks("routes.txt"):
        ring = ring_of(dict(block)["ring"])
        for word, rest in block:
            if word == "route":
                name, shard = rest.split(" ")
                expect("owner", route(ring, name), shard)
                expect("owner, the ring turned", route(ring[::-1], name), shard)


def main():
    check_values()
    check_passphrases()
    check_records()
    check_envelopes()
    check_routes()
    for line in failures:
        print(line)
    print(f"{count - len(failures)} of {count} vectors verified")
    return 1 if failures or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
