#!/usr/bin/env python3
"""A server with a fault for every check to find: `run --prove` takes it for haul, and everything must fail.

    bad.py serve DIRECTORY [options of haul serve]

Wrong fields, and conditions and ranges that are ignored (httplint, redbot), a body's length believed against its coding (smugglex), TLS
1.0 with suites of old (sslyze), memory for every request that is never freed, and, with `-t`, one client at a time (slowhttptest, idle).
"""

import http.server
import os
import ssl
import subprocess
import sys

KEPT = []


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.do_GET()

    do_OPTIONS = do_POST

    def do_GET(self):
        KEPT.append(bytearray(1 << 20))
        # Whatever Transfer-Encoding says: who sent less is waited for.
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        super().do_GET()

    def end_headers(self):
        self.send_header("ETag", "without quotes")
        self.send_header("Cache-Control", "max-age=long")
        self.send_header("Accept-Ranges", "bytes")
        super().end_headers()

    def log_message(self, *_):
        pass


def main():
    root, options = sys.argv[2], sys.argv[3:]
    os.chdir(root)
    kind = http.server.HTTPServer if "-t" in options else http.server.ThreadingHTTPServer
    server = kind(("127.0.0.1", 0), Handler)
    scheme = "http"
    if "--tls" in options:
        scheme, pem = "https", f"{os.environ['OUTSIDE_WORK']}/bad.pem"
        make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=bad"]
        subprocess.run([*make, "-keyout", pem, "-out", pem], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.load_cert_chain(pem)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print(f"listening on {scheme}://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
