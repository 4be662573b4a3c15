# SPDX-License-Identifier: MIT
"""Runs a command where a server answers on the default ports that its arguments name, and nobody else does: to be
started by `unshare --net`. own_network.py PORT[,PORT…] COMMAND…

Each lists one model, whose name is the port.
"""
import fcntl
import http.server
import json
import socket
import struct
import subprocess
import sys
import threading


def bring_up_loopback():
    flags, up = 0x8914, 0x1  # SIOCSIFFLAGS, IFF_UP
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, flags, struct.pack("16sh14x", b"lo", up))


class Router(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = self.path == "/models"
        name = f"port-{self.server.server_port}"
        body = json.dumps({"data": [{"id": name, "status": {"value": "loaded"}}]} if found else
                          {"error": {"code": 404, "message": "none", "type": "not_found_error"}}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


bring_up_loopback()
for port in filter(None, sys.argv[1].split(",")):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Router)
    threading.Thread(target=server.serve_forever, daemon=True).start()
sys.exit(subprocess.run(sys.argv[2:], check=False).returncode)
