# SPDX-License-Identifier: Apache-2.0
"""udptun - tunnels of a running udptund, through libudptun-client.

    import udptun

    with udptun.Client() as client:
        client.configure_tunnel({"name": "dns", "role": "local", "listen": "udp://127.0.0.1:5353",
                                 "server": "192.0.2.1:7000", "target": "192.0.2.53:53"}, wait_s=10)
        print(client.status("dns")["udpTunnels"][0]["state"])
        client.subscribe("state")
        for event in client.events():
            print(event["event"], event["data"])

docs/command-socket.md has the members of objects, replies and events. A client is used by one thread at a
time. The library is found by the loader, or in the folder that UDPTUN_LIB names.
"""

import collections
import ctypes
import json
import os
import time
from typing import Any, Deque, Dict, Iterator, List, Mapping, Optional, Sequence, cast

__all__ = ["Client", "Error"]

Json = Dict[str, Any]


class _Error(ctypes.Structure):  # struct udptun_error
    _fields_ = [("code", ctypes.c_int), ("sys_errno", ctypes.c_int),
                ("field", ctypes.c_char * 64), ("message", ctypes.c_char * 256)]


_Event = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)


class _Config(ctypes.Structure):  # struct udptun_client_config
    _fields_ = [("size", ctypes.c_size_t), ("socket_path", ctypes.c_char_p),
                ("timeout_ms", ctypes.c_int64), ("reconnect", ctypes.c_bool),
                ("reconnect_min_ms", ctypes.c_int64), ("reconnect_max_ms", ctypes.c_int64),
                ("max_reply_bytes", ctypes.c_size_t), ("arg", ctypes.c_void_p),
                ("state", ctypes.c_void_p), ("event", _Event)]


class _Request(ctypes.Structure):  # struct udptun_client_request
    _fields_ = [("size", ctypes.c_size_t), ("action", ctypes.c_char_p),
                ("parameters", ctypes.c_char_p), ("timeout_ms", ctypes.c_int64),
                ("fds", ctypes.POINTER(ctypes.c_int)), ("fd_count", ctypes.c_size_t)]


def _load() -> ctypes.CDLL:
    library = ctypes.CDLL(os.path.join(os.environ.get("UDPTUN_LIB", ""), "libudptun-client.so.0"))
    handle, err = ctypes.c_void_p, ctypes.POINTER(_Error)
    for name, result, arguments in (
            ("config_init_sized", None, [ctypes.POINTER(_Config), ctypes.c_size_t]),
            ("request_init_sized", None, [ctypes.POINTER(_Request), ctypes.c_char_p,
                                          ctypes.c_size_t]),
            ("new", handle, [ctypes.POINTER(_Config), err]),
            ("free", None, [handle]),
            ("free_text", None, [ctypes.c_void_p]),
            ("code_name", ctypes.c_char_p, [ctypes.c_int]),
            ("version", ctypes.c_char_p, []),
            ("wait", ctypes.c_int, [handle, ctypes.c_int64]),
            ("subscribe", ctypes.c_int, [handle, ctypes.c_char_p, ctypes.c_bool, ctypes.c_void_p,
                                         ctypes.c_void_p, ctypes.c_void_p, err]),
            ("call_wait", ctypes.c_int, [handle, ctypes.POINTER(_Request),
                                         ctypes.POINTER(ctypes.c_void_p), err])):
        function = getattr(library, "udptun_client_" + name)
        function.restype, function.argtypes = result, arguments
    return library


_library = _load()


class Error(Exception):
    """What went wrong, in the daemon's words or the library's."""

    def __init__(self, err: _Error) -> None:
        super().__init__(err.message.decode(errors="replace"))
        self.code: int = err.code
        self.name: str = _library.udptun_client_code_name(err.code).decode()
        self.field: str = err.field.decode(errors="replace")


class Client:
    """One connection to udptund. `socket`: its path (None: as udptunctl finds it)."""

    def __init__(self, socket: Optional[str] = None, timeout_s: float = 10.,
                 reconnect: bool = False) -> None:
        self._handle: Optional[int] = None
        self._events: Deque[Json] = collections.deque()
        config, err = _Config(), _Error()
        _library.udptun_client_config_init_sized(ctypes.byref(config), ctypes.sizeof(config))
        config.socket_path = None if socket is None else os.fsencode(socket)
        config.timeout_ms = int(timeout_s * 1000)
        config.reconnect = reconnect
        self._on_event = _Event(self._take_event)  # as long as the library may call it
        config.event = self._on_event
        self._handle = _library.udptun_client_new(ctypes.byref(config), ctypes.byref(err))
        if not self._handle:
            raise Error(err)

    def _take_event(self, _arg: Optional[int], _client: Optional[int], text: bytes) -> None:
        message = json.loads(text)
        if "event" in message:
            self._events.append(message)

    def close(self) -> None:
        """The client is of no use afterwards. May be called twice."""
        handle, self._handle = self._handle, None
        if handle:
            _library.udptun_client_free(handle)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _open(self) -> int:
        if not self._handle:
            raise ValueError("the client is closed")
        return self._handle

    def call(self, action: str, parameters: Optional[Mapping[str, Any]] = None,
             timeout_s: Optional[float] = None, fds: Sequence[int] = ()) -> Any:
        """Any action: its returnValue. `timeout_s`: other than the client's. `fds` are passed along
        ("fd:0" is the first) and stay the caller's."""
        request, err, reply = _Request(), _Error(), ctypes.c_void_p()
        name = action.encode()  # alive until the call is over
        _library.udptun_client_request_init_sized(ctypes.byref(request), name,
                                                  ctypes.sizeof(request))
        if parameters is not None:
            request.parameters = json.dumps(dict(parameters)).encode()
        if timeout_s is not None:
            request.timeout_ms = max(1, int(timeout_s * 1000))
        request.fds, request.fd_count = (ctypes.c_int * len(fds))(*fds), len(fds)
        code = _library.udptun_client_call_wait(self._open(), ctypes.byref(request),
                                                ctypes.byref(reply), ctypes.byref(err))
        text = ctypes.string_at(reply.value) if reply.value else b"{}"
        _library.udptun_client_free_text(reply)
        if code < 0:
            raise Error(err)
        return json.loads(text).get("returnValue")

    # ---- objects

    def configure_tunnel(self, tunnel: Mapping[str, Any], merge: bool = False,
                         wait_s: float = 0) -> bool:
        """Whether it was changed. `merge`: only the given fields. `wait_s`: until it is established."""
        return self._configure("configureUdpTunnel", tunnel, merge, wait_s, ())

    def remove_tunnel(self, name: str) -> bool:
        """Whether there was one."""
        return bool(self.call("removeUdpTunnel", {"name": name})["changed"])

    def configure_tun2socks(self, instance: Mapping[str, Any], merge: bool = False,
                            wait_s: float = 0, fds: Sequence[int] = ()) -> bool:
        return self._configure("configureTun2socks", instance, merge, wait_s, fds)

    def remove_tun2socks(self, name: str) -> bool:
        return bool(self.call("removeTun2socks", {"name": name})["changed"])

    def _configure(self, action: str, given: Mapping[str, Any], merge: bool, wait_s: float,
                   fds: Sequence[int]) -> bool:
        wanted = dict(given)
        if merge:
            wanted["merge"] = True
        if wait_s > 0:
            wanted["wait"] = wait_s
        return bool(self.call(action, wanted, wait_s + 10 if wait_s > 0 else None, fds)["changed"])

    def export_config(self, show_secrets: bool = False) -> Json:
        return cast(Json, self.call("exportConfig", {"showSecrets": show_secrets}))

    def apply_config(self, config: Mapping[str, Any], prune: bool = False,
                     dry_run: bool = False) -> Json:
        """All objects of `config` or none: {"created": [...], "changed": [...], "removed": [...]}."""
        given = {"config": config, "prune": prune, "dryRun": dry_run}
        return cast(Json, self.call("applyConfig", given))

    # ---- looking

    def hello(self) -> Json:
        return cast(Json, self.call("hello"))

    def status(self, name: Optional[str] = None) -> Json:
        """Of one object, or of everything."""
        return cast(Json, self.call("getStatus", {} if name is None else {"name": name}))

    def sessions(self, name: str) -> List[Json]:
        return cast(List[Json], self.call("listSessions", {"name": name})["sessions"])

    def close_session(self, name: str, session: str) -> None:
        self.call("closeSession", {"name": name, "session": session})

    def flows(self, name: str) -> Iterator[Json]:
        """All of a tunnel's, a page at a time."""
        after: Json = {}
        while True:
            page = self.call("listFlows", {"name": name, **after})
            yield from page["flows"]
            if not page.get("more"):
                return
            after = {"after": page["flows"][-1]["id"]}

    def ping(self, name: str, count: int = 1) -> List[Optional[float]]:
        """Milliseconds of each round trip to the far end; None: no answer."""
        reply = self.call("pingTunnel", {"name": name, "count": count}, 10. + count)
        return cast(List[Optional[float]], reply["rttMs"])

    def metrics(self) -> str:
        return cast(str, self.call("getMetrics"))

    # ---- events

    def subscribe(self, *topics: str, snapshot: bool = False) -> None:
        """Topics: "state", "config", "stats", "log". Renewed when the client reconnects."""
        err = _Error()
        if _library.udptun_client_subscribe(self._open(), ",".join(topics).encode(), snapshot, None,
                                            None, None, ctypes.byref(err)) < 0:
            raise Error(err)

    def events(self, timeout_s: Optional[float] = None) -> Iterator[Json]:
        """As they come; it ends when none has come for `timeout_s` (None: never), or without
        `reconnect` when the connection is lost."""
        while True:
            until = None if timeout_s is None else time.monotonic() + timeout_s
            while not self._events:
                left = -1 if until is None else int((until - time.monotonic()) * 1000)
                if until is not None and left < 0:
                    return
                if _library.udptun_client_wait(self._open(), left) < 0 and not self._events:
                    return
            yield self._events.popleft()

    # ---- the daemon

    def set_log_level(self, level: str, module: Optional[str] = None) -> None:
        self.call("setLogLevel", {"level": level, **({"module": module} if module else {})})

    def reload_config(self) -> None:
        self.call("reloadConfig")

    def shutdown(self) -> None:
        self.call("shutdown")


def version() -> str:
    """Of libudptun-client."""
    return str(_library.udptun_client_version().decode())
