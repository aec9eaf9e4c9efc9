# SPDX-License-Identifier: Apache-2.0
"""chain.py - the real programs that a tunnel rides on, each a list of Programs in a Network.

    client:  udp-local ─▶ ss-tunnel ─▶ obfs-local ┄┄▶ server: obfs-server ─▶ ss-server ─▶ udp-server
                          ss-local  ─▶
"""

from harness import CLIENT, ROUTER, SERVER, need

PASSWORD = "not-a-secret"
METHOD = "chacha20-ietf-poly1305"
TUNNEL_PORT = 13456  # ss-tunnel, leads to UDP_SERVER_PORT on the server's loopback
SOCKS_PORT = 1080    # ss-local
UDP_SERVER_PORT = 3456


def start_shadowsocks(net):
    """shadowsocks-libev with simple-obfs, from the client to the server."""
    key = ["-k", PASSWORD, "-m", METHOD, "--no-delay"]
    net.start("server", need("ss-server"), "-s", "127.0.0.1", "-p", "8388",
              *key).wait_listening(8388)
    net.start("server", need("obfs-server"), "-s", SERVER, "-p", "8443", "--obfs", "tls",
              "-r", "127.0.0.1:8388").wait_listening(8443)
    net.start("client", need("obfs-local"), "-s", SERVER, "-p", "8443", "-l", "1984",
              "--obfs", "tls", "--obfs-host", "www.example.com").wait_listening(1984)
    through = ["-s", "127.0.0.1", "-p", "1984", "-b", "127.0.0.1"]
    net.start("client", need("ss-tunnel"), *through, "-l", str(TUNNEL_PORT),
              "-L", f"127.0.0.1:{UDP_SERVER_PORT}", *key).wait_listening(TUNNEL_PORT)
    net.start("client", need("ss-local"), *through, "-l", str(SOCKS_PORT),
              *key).wait_listening(SOCKS_PORT)


def start_http_proxy(net, user=None):
    """tinyproxy on the router: HTTP CONNECT, with a password when `user` is "name:password"."""
    path = f"{net.folder}/tinyproxy.conf"
    with open(path, "w", encoding="ascii") as file:
        file.write(f"Port 8080\nListen {ROUTER['client']}\nTimeout 600\nMaxClients 100\n"
                   f"Allow {CLIENT}\nConnectPort {UDP_SERVER_PORT}\n")
        if user:
            file.write(f"BasicAuth {user.replace(':', ' ')}\n")
    net.start("router", need("tinyproxy"), "-d", "-c", path).wait_listening(8080)
    return f"{ROUTER['client']}:8080"


def start_socks_proxy(net, user):
    """microsocks on the router: SOCKS5 with a name and a password."""
    name, password = user.split(":")
    net.start("router", need("microsocks"), "-i", ROUTER["client"], "-p", "1081", "-u", name,
              "-P", password).wait_listening(1081)
    return f"{ROUTER['client']}:1081"
