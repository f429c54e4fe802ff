#!/usr/bin/env python3
"""sslyze with all its commands against a server that speaks TLS.

    tls.py URL

Fails on a protocol before TLS 1.2, a cipher suite without forward secrecy or authenticated encryption, each known attack that works,
and a certificate of which anything is wrong but that it is signed by itself.
"""

import socket
import ssl
import sys
from urllib.parse import urlsplit

from cryptography.x509 import DNSName, ExtensionNotFound, SubjectAlternativeName
from sslyze import Scanner, ScanCommand, ScanCommandAttemptStatusEnum, ServerNetworkLocation, ServerScanRequest
from sslyze import ServerScanStatusEnum

import check

# Whom the server is asked for.
NAME = "localhost"
FORBIDDEN = ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"]
SPOKEN = ["tls_1_2", "tls_1_3"]
# What such a suite's name holds: AEAD only (RFC 9325 §4.2), and keys that are gone after the session.
STRONG = ("_GCM_", "_CHACHA20_POLY1305_")


def suites(result):
    return [suite.cipher_suite.name for suite in result.accepted_cipher_suites]


def is_strong(protocol, name):
    # All suites of TLS 1.3 have forward secrecy.
    secret = protocol == "tls_1_3" or "_ECDHE_" in name
    return secret and any(mark in name for mark in STRONG)


def names(certificate):
    """The names that a certificate is for; what stands in its subject is no such name any more (RFC 9525 §2)."""
    try:
        return certificate.extensions.get_extension_for_class(SubjectAlternativeName).value.get_values_for_type(DNSName)
    except ExtensionNotFound:
        return []


def judge(results, wrong, seen):
    """Goes through everything that sslyze found."""
    for protocol in FORBIDDEN:
        if found := suites(results[f"{protocol}_cipher_suites"]):
            wrong.append(f"speaks {protocol}: {', '.join(found)}")
    for protocol in SPOKEN:
        found = suites(results[f"{protocol}_cipher_suites"])
        seen.append(f"{protocol}: {len(found)} suites")
        if not found:
            wrong.append(f"does not speak {protocol}")
        wrong += [f"{protocol} with {name}" for name in found if not is_strong(protocol, name)]
    groups = results["elliptic_curves"].supported_curves or []
    seen.append("groups " + " ".join(sorted(group.name for group in groups)))
    for name, is_bad in [
        ("compression", lambda r: r.supports_compression),
        ("early data (replays)", lambda r: r.supports_early_data),
        ("CCS injection", lambda r: r.is_vulnerable_to_ccs_injection),
        ("Heartbleed", lambda r: r.is_vulnerable_to_heartbleed),
        ("ROBOT", lambda r: "NOT_VULNERABLE" not in r.robot_result.name),
        ("renegotiation by the client", lambda r: r.is_vulnerable_to_client_renegotiation_dos),
        ("insecure renegotiation", lambda r: not r.supports_secure_renegotiation),
        ("no extended master secret", lambda r: not r.supports_ems_extension),
    ]:
        if is_bad(results[COMMANDS[name]]):
            wrong.append(name)
    for deployment in results["certificate_info"].certificate_deployments:
        certificate = deployment.received_certificate_chain[0]
        own = certificate.subject == certificate.issuer
        if not own or deployment.verified_certificate_chain:
            wrong.append("the certificate is not the server's own")
        if NAME not in names(certificate):
            wrong.append(f"the certificate is not for {NAME}")
        if deployment.verified_chain_has_sha1_signature or certificate.signature_hash_algorithm.name in ("sha1", "md5"):
            wrong.append(f"the certificate is signed with {certificate.signature_hash_algorithm.name}")


def alpn(url, offered):
    """The protocol that is chosen among the offered (RFC 7301), or the alert."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(offered)
    try:
        with socket.create_connection((url.hostname, url.port), 10) as tcp:
            with context.wrap_socket(tcp, server_hostname=NAME) as stream:
                return stream.selected_alpn_protocol()
    except ssl.SSLError as error:
        return str(error)


def judge_alpn(url, wrong, seen):
    for offered, chosen in [
        (["h2", "http/1.1"], "http/1.1"),
        (["http/1.1"], "http/1.1"),
        (["h2"], "alert no application protocol"),
    ]:
        found = str(alpn(url, offered))
        if chosen not in found:
            wrong.append(f"ALPN {', '.join(offered)}: {found}")
    seen.append("ALPN http/1.1")


COMMANDS = {
    "compression": "tls_compression",
    "early data (replays)": "tls_1_3_early_data",
    "CCS injection": "openssl_ccs_injection",
    "Heartbleed": "heartbleed",
    "ROBOT": "robot",
    "renegotiation by the client": "session_renegotiation",
    "insecure renegotiation": "session_renegotiation",
    "no extended master secret": "tls_extended_master_secret",
}


def main():
    url = urlsplit(sys.argv[1])
    scanner = Scanner()
    location = ServerNetworkLocation(hostname=NAME, ip_address=url.hostname, port=url.port)
    scanner.queue_scans([ServerScanRequest(server_location=location)])
    wrong, seen = [], []
    for server in scanner.get_results():
        if server.scan_status != ServerScanStatusEnum.COMPLETED:
            wrong.append(f"no connection: {server.connectivity_error_trace}")
            continue
        results = {}
        for name in (command.value for command in ScanCommand):
            attempt = getattr(server.scan_result, name)
            if attempt.status != ScanCommandAttemptStatusEnum.COMPLETED:
                wrong.append(f"{name}: {attempt.error_reason}")
            results[name] = attempt.result
        if not wrong:
            judge(results, wrong, seen)
    judge_alpn(url, wrong, seen)
    for line in wrong:
        print(f"  {line}")
    check.row("sslyze", "; ".join(seen), f"{len(wrong)}: {wrong[0]}" if wrong else "none; expected: signed by itself", not wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
