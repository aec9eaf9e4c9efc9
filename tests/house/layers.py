#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The house rules that a compiler does not know: layers, symbols, globals, file heads.

    layers.py --source TREE [--build FOLDER]

Reads the include graph of every C file of ours and, with --build, the symbols and sections of
the objects that compile_commands.json names, and what the shared libraries export. Prints one line per fault and fails if there is
one. Every arrow that is allowed stands in ALLOWED below, the rooms of a folder in FLOORS, and all point down:

    proto <- daemon/platform <- tun2socks <- daemon/engine <- daemon/control <- daemon
    proto/control, daemon/platform <- libclient <- controller/cli, controller/proxy
    proto/udpt/codec, core <- pace <- legs <- flows <- lanes <- session
    lwip <- tun2socks    daemon/platform <- daemon/service <- daemon/control, controller/proxy
    daemon/platform <- daemon/platform/process <- daemon/control, daemon, controller/proxy

A build with sanitizers is read without --build: they add symbols and writable data of their own.
"""

import argparse
import glob
import json
import os
import re
import shlex
import subprocess
import sys

# Component -> the components whose files it may include and whose symbols it may use. "X!" is
# what X shows to the outside: X/include. The longest matching folder is a file's component.
ALLOWED = {
    "proto": {"proto!"},
    "proto/udpt/codec": {"proto", "proto!"},
    "proto/udpt/core": {"proto", "proto!"},
    "proto/udpt/pace": {"proto", "proto!", "proto/udpt/core"},
    "proto/udpt": {"proto", "proto!", "proto/udpt/codec", "proto/udpt/core", "proto/udpt/pace"},
    "proto/socks5": {"proto", "proto!"},
    "proto/dns": {"proto", "proto!"},
    "proto/control": {"proto", "proto!"},
    "lwip": set(),
    "tun2socks": {"proto", "proto!", "lwip", "daemon/platform", "daemon/platform!"},
    "daemon/platform": {"proto", "proto!", "daemon/platform!"},
    "daemon/platform/process": {"proto", "proto!", "daemon/platform", "daemon/platform!"},
    "daemon/engine": {"proto", "proto!", "proto/udpt", "proto/socks5", "proto/dns", "tun2socks",
                      "daemon/platform", "daemon/platform!", "daemon/engine!"},
    "daemon/service": {"proto", "proto!", "proto/control", "daemon/platform", "daemon/platform!",
                       "daemon/engine!"},
    "daemon/control": {"proto", "proto!", "proto/control", "daemon/platform", "daemon/platform!",
                       "daemon/platform/process", "daemon/service", "daemon/engine!"},
    "daemon": {"proto", "proto!", "proto/control", "daemon/control", "daemon/platform",
               "daemon/platform!", "daemon/platform/process", "daemon/service", "daemon/engine!"},
    "libclient": {"proto", "proto!", "proto/control", "daemon/platform", "daemon/platform!",
                  "libclient!"},
    "controller/cli": {"proto", "proto!", "daemon/platform", "daemon/service", "libclient!"},
    "controller/proxy": {"proto", "proto!", "proto/control", "daemon/platform", "daemon/platform!",
                         "daemon/platform/process", "daemon/service", "libclient!"},
    "docs/examples": {"proto!", "daemon/engine!", "libclient!"},
}
# A public header may lean on the public headers below it.
PUBLIC_ALLOWED = {
    "proto!": set(),
    "daemon/platform!": set(),
    "daemon/engine!": {"proto!", "daemon/platform!"},
    "libclient!": {"proto!"},
}
# Inside a component: its rooms from the bottom up. A room may use those that stand before it and
# not the others of its own line. "." are the files that are in no room.
FLOORS = {
    "proto/udpt": (("codec", "core"), ("pace",), ("legs",), ("flows",), ("lanes",), ("session",),
                   (".",)),
    "daemon/engine": (("core",), ("settings",), ("streams",), ("tunnel",), ("local", "server"),
                      ("gateway",), ("face",)),
    "daemon/control": (("store",), ("socket",), ("report",), ("change",), ("actions",), (".",)),
    "controller/proxy": (("linux",), (".",)),
}
# Arrows up inside proto/udpt that are left: file -> the files above that it uses, by an include or a
# symbol. The list only shrinks.
UPWARD_LEFT = {
    "proto/udpt/flows/announce.c":
        "control_announce control_id control_open machine_hash machine_hash_id "
        "proto/udpt/internal.h route_copies session_timers",
    "proto/udpt/flows/binding.c":
        "control_error control_opened datagram_sequence_anew machine_enter machine_hash "
        "machine_hash_id machine_leave proto/udpt/internal.h queue_clear session_speaker "
        "session_wake udptun_session_next",
    "proto/udpt/flows/caps.c":
        "machine_enter machine_leave machine_log proto/udpt/internal.h",
    "proto/udpt/flows/closing.c":
        "control_close machine_hash_id proto/udpt/internal.h session_speaker session_wake",
    "proto/udpt/lanes/datagram.c":
        "machine_enter machine_leave proto/udpt/internal.h",
    "proto/udpt/lanes/queue.c":
        "client_pressure lanes_wake proto/udpt/internal.h session_legs_up",
    "proto/udpt/lanes/route.c":
        "proto/udpt/internal.h session_control session_wake",
    "proto/udpt/lanes/sparse.c":
        "lanes_wake proto/udpt/internal.h",
    "proto/udpt/legs/age.c":
        "proto/udpt/internal.h",
    "proto/udpt/legs/conn.c":
        "caps_note client_attempt_ended client_refused client_welcomed conn_wake machine_conn_due "
        "machine_enter machine_leave machine_log machine_random proto/udpt/internal.h "
        "queue_unblocked room_count room_enter room_evict room_leave server_confirm server_hello",
    "proto/udpt/legs/leg.c":
        "announce_lookup announce_may_complain announce_unknown binding_find binding_has_ended "
        "binding_remote binding_tell_external client_heard conn_wake control_close control_frame "
        "control_send control_token datagram_deliver datagram_fresh proto/udpt/internal.h "
        "queue_pump_held route_min_rtt_us session_leg_down session_leg_up session_speaker "
        "session_timers session_wake sparse_for_ack udptun_machine_count_drop",
    "proto/udpt/session/client.c":
        "proto/udpt/internal.h",
    "proto/udpt/session/control.c":
        "proto/udpt/internal.h",
    "proto/udpt/session/dialling.c":
        "proto/udpt/internal.h",
    "proto/udpt/session/look.c":
        "proto/udpt/internal.h",
    "proto/udpt/session/machine.c":
        "proto/udpt/internal.h",
    "proto/udpt/session/room.c":
        "proto/udpt/internal.h",
    "proto/udpt/session/server.c":
        "proto/udpt/internal.h",
    "proto/udpt/session/session.c":
        "proto/udpt/internal.h",
}
OUTSIDE = {"packaging", "tests"}  # beside the house: may reach anywhere, nothing may reach it
LIBRARIES = ("proto", "tun2socks", "daemon/platform", "daemon/engine", "libclient")

# A machine without I/O: nothing of these components may need more than this. Sockets, files,
# clocks, threads and random sources are not in the list, and so cannot slip in.
PURE = ("proto", "proto/udpt", "proto/udpt/codec", "proto/udpt/core", "proto/udpt/pace",
        "proto/socks5", "proto/dns")
PURE_HEADERS = {
    "ctype.h", "errno.h", "inttypes.h", "limits.h", "stdarg.h", "stdbool.h", "stddef.h",
    "stdint.h", "stdio.h", "stdlib.h", "string.h", "strings.h", "sodium.h", "assert.h",
}
PURE_HEADERS_MORE = {
    # endpoint.c: text and sockaddr forms of an address, no call that opens anything
    "proto": {"arpa/inet.h", "netinet/in.h", "sys/socket.h", "sys/un.h"},
}
PURE_SYMBOLS = re.compile(
    r"mem(cpy|move|set|cmp|chr|mem)|str(n?len|n?cmp|n?casecmp|chr|rchr|n?cpy|spn|cspn|str|pbrk"
    r"|toul|toull|tol|toll|n?dup|error_r)|malloc|calloc|realloc|free|qsort|bsearch|v?snprintf"
    r"|inet_(ntop|pton)|__(mem|str|st[pr]n?)\w+_chk|__v?snprintf_chk|__stack_chk_fail|__errno_location"
    r"|__xpg_strerror_r|__isoc99_sscanf|__ctype_b_loc|__ctype_tolower_loc|__ctype_toupper_loc"
    r"|(crypto|sodium)_\w+|_GLOBAL_OFFSET_TABLE_|__tls_get_addr")
PURE_BUT_NOT = re.compile(r"sodium_init|crypto_\w*keygen|crypto_\w*keypair|crypto_box_seal")

# An app has the library inside its own process: nothing here may end it, start another, take
# its signals or write to its standard output; and the control plane's formats stay above.
ENGINE_HEADERS = re.compile(r"jansson\.h|protobuf-c/.*|.*\.pb-c\.h|spawn\.h|sys/wait\.h|assert\.h")
ENGINE_SYMBOLS = re.compile(
    r"json_\w+|protobuf_c_\w+|v?fork|clone|posix_spawn\w*|exec(l|v|ve|vp|lp|le|vpe)|fexecve|system"
    r"|popen|wait(pid|id|[34])?|_?exit|_Exit|quick_exit|at_quick_exit|atexit|on_exit|abort"
    r"|__assert_fail|signal|sigaction|sigprocmask|raise|kill|killpg|bsd_signal|sigset|alarm"
    r"|v?printf|__v?printf_chk|puts|putchar|stdout|daemon")

# Each line that names an operating system belongs in daemon/platform.
SYSTEM = re.compile(
    r"#\s*(?:el)?if.*\b(?:_WIN32|__linux__|__APPLE__|__ANDROID__|__unix__|__FreeBSD__)\b"
    r"|#\s*include\s*<(?:ev|errno|fcntl|unistd|pthread|signal|poll|termios|malloc|pwd|grp|ifaddrs"
    r"|sys/(?!types\.h)\w+|net/\w+|netinet/\w+|linux/\w+)\.h>"
    r"|\berrno\b|\bev_\w+|\bstruct (?:sockaddr\w*|iovec\b)"
    r"|(?<!static int )\b(?:send|sendto|sendmsg|recv|recvfrom|recvmsg)\((?!b, peer)")
# Calls that a system may not have, by their names: their headers are those of C.
SYSTEM_CALLS = re.compile(r"\b(?:clock_gettime|gmtime_r|localtime_r|explicit_bzero|gete?[ug]id|getpid"
                          r"|realpath|strerrorname_np)\(")
SYSTEM_CALLS_IN = ("tun2socks/", "daemon/", "libclient/", "controller/")  # proto/ is PURE
SYSTEM_ALLOWED = (
    "daemon/platform/", "lwip/", "docs/examples/",
    "controller/proxy/linux/",  # a program for Linux; the rest of it does not know
    "controller/cli/top/screen.c",  # a terminal
    # Public headers name the loops that apps have, and say how a compiler exports a function.
    "daemon/engine/include/udptun/", "libclient/include/udptun/")
COMMENT_OR_TEXT = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)

LINES_MAX = 500
C_HEAD = "/* SPDX-License-Identifier: Apache-2.0 */"
SPDX = "SPDX-License-Identifier: Apache-2.0"
SKIPPED_FOLDERS = re.compile(r"build.*|\.git|\.cache|\.source|upstream|__pycache__|corpus|found")
MACHINE_PATH = re.compile(r"(?<![\w.$}/])/(?:home|root|work|Users)/\w")
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def files_of(tree):
    """Paths of all files of ours, relative to the tree."""
    for folder, folders, names in os.walk(tree):
        folders[:] = sorted(f for f in folders if not SKIPPED_FOLDERS.fullmatch(f))
        for name in sorted(n for n in names if n != ".git"):  # a work tree's, by git's hand
            yield os.path.relpath(os.path.join(folder, name), tree)


def is_own(tree):
    """The tree is this house, not one that a test made up: the lists of what is left hold for it."""
    return os.path.exists(os.path.join(tree, "tests/house/layers.py"))


def read(tree, path):
    with open(os.path.join(tree, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def component_of(path):
    """The component that a file of the tree belongs to, or None for files of no component."""
    top = path.split("/")[0]
    if top in OUTSIDE:
        return top
    for name in sorted(ALLOWED, key=len, reverse=True):
        if path.startswith(name + "/include/"):
            return name + "!"
        if path.startswith(name + "/"):
            return name
    return None


def may_use(user, used):
    if user == used or user in OUTSIDE:
        return True
    if user in PUBLIC_ALLOWED:
        return used in PUBLIC_ALLOWED[user]
    return used in ALLOWED.get(user, set())


def room_of(path):
    """(component with floors, room, floor) of a file, or None. A room of no floor has floor None."""
    for component, floors in FLOORS.items():
        if not path.startswith(component + "/"):
            continue
        inner = path[len(component) + 1:]
        room = inner.split("/")[0] if "/" in inner else "."
        if room == "include":
            return None
        level = next((i for i, rooms in enumerate(floors) if room in rooms), None)
        return component, room, level
    return None


def is_upward(user, used):
    """The file `user` uses the file `used` of a room on its own floor or above."""
    from_room, to_room = room_of(user), room_of(used)
    if not from_room or not to_room or from_room[0] != to_room[0] or from_room[1] == to_room[1]:
        return False
    return to_room[2] is None or from_room[2] is None or from_room[2] <= to_room[2]


class Headers:
    """Which file of the tree, or which generated header, an include names."""

    def __init__(self, paths):
        self.paths = set(paths)
        self.public = {}
        for path in paths:
            if "/include/" in path:
                self.public[path.split("/include/", 1)[1]] = path

    def find(self, includer, name):
        beside = os.path.normpath(os.path.join(os.path.dirname(includer), name))
        for path in (name, beside):
            if path in self.paths:
                return path
        if name in self.public:
            return self.public[name]
        # Generated: <something>.pb-c.h and version.h stand in the build folder under their path.
        if component_of(name):
            return name
        return None


def check_include(user, path, header, name):
    """The fault of one include, or None."""
    if header:
        used = component_of(header)
        if used and not may_use(user, used):
            return f"{path}: {user} may not include {name} ({used})"
        if is_upward(path, header) and name not in UPWARD_LEFT.get(path, ""):
            return f"{path}: may not include {name}: it is on a floor above"
        return None
    if user in PURE and not name.startswith("udptun/"):
        if name not in PURE_HEADERS | PURE_HEADERS_MORE.get(user, set()):
            return f"{path}: {user} may not include <{name}>: a machine without I/O"
    if user in ("daemon/platform", "daemon/engine", "daemon/engine!") and ENGINE_HEADERS.fullmatch(
            name):
        return f"{path}: {user} may not include <{name}>"
    return None


TAG = re.compile(r"^\s*(?:typedef\s+)?(?:struct|union|enum)\s+(\w+)\s*\{", re.M)
# A file there stands in for one of another system.
SYSTEM_FOLDER = re.compile(r"daemon/platform/(?:process/)?(?:posix|linux|android|darwin|windows)/")


def check_tags(tree, paths):
    """A tag of a struct, union or enum names one thing in the whole house."""
    first = {}
    for path in paths:
        if component_of(path) in OUTSIDE | {None, "docs/examples"}:
            continue
        for tag in TAG.findall(read(tree, path)):
            other = first.setdefault(tag, path)
            if other != path and not (SYSTEM_FOLDER.match(other) and SYSTEM_FOLDER.match(path)):
                yield f"{path}: {tag} is defined in {other} as well"


FUNCTION = re.compile(r"^((?:static |inline |const |struct |enum |union |unsigned )*[a-z_]\w*[ *]+)(\w+)"
                      r"\(([^;{}]*?)\)\n\{", re.M)


def functions_of(text):
    """(name, whether it is of the file alone, its types) of every function."""
    for before, name, parameters in FUNCTION.findall(text):
        kind = re.sub(r"\b(static|inline) ", "", before).strip()
        types = re.sub(r"\w+\s*(,|$)", r"\1", re.sub(r"\s+", " ", parameters))
        yield name, "static " in before, (kind, types)


def check_functions(tree, paths):
    """A name of a function means one thing in the whole house. Files may have callbacks of the same
    name and the same types for themselves, and what a system or a build switch chooses from."""
    first = {}
    for path in paths:
        if not path.endswith(".c") or component_of(path) in OUTSIDE | {None, "docs/examples"}:
            continue
        for name, is_static, types in functions_of(read(tree, path)):
            other, other_static, other_types = first.setdefault(name, (path, is_static, types))
            if other == path or name == "main":
                continue
            if SYSTEM_FOLDER.match(other) and SYSTEM_FOLDER.match(path):
                continue
            if types != other_types:
                yield f"{path}: {name}() is another function than that of {other}"
            elif is_static != other_static:
                yield f"{path}: {name}() is public and a file's own, in {other}"


PAGE = "docs/architecture.md"
NAMED_FILE = re.compile(r"(?<![\w/*<.-])[\w/*.-]*\w\.[ch]\b")


def check_page(tree, paths):
    """The page about the house names files that are there; a * stands for any."""
    if PAGE not in paths:
        return
    for name in sorted(set(NAMED_FILE.findall(read(tree, PAGE)))):
        pattern = "(.*/)?" + re.escape(name).replace(r"\*", "[^/]*")
        if not any(re.fullmatch(pattern, path) for path in paths):
            yield f"{PAGE}: there is no file {name}"


def check_text(path, text, is_c):
    first = text.split("\n", 1)[0]
    if is_c and first != C_HEAD:
        yield f"{path}: the first line is not the SPDX line"
    elif not is_c and SPDX not in "\n".join(text.split("\n", 3)[:3]):
        yield f"{path}: no SPDX line at the top"
    if is_c and UNFINISHED.search(text):
        yield f"{path}: unfinished: {UNFINISHED.search(text).group()}"
    # A test may be a long list of cases.
    if is_c and text.count("\n") > LINES_MAX and component_of(path) not in OUTSIDE:
        yield f"{path}: {text.count(chr(10))} lines, at most {LINES_MAX}"


def check_system(path, text):
    """That a file names no operating system."""
    if path.startswith(SYSTEM_ALLOWED):
        return
    code = COMMENT_OR_TEXT.sub("", text)
    match = SYSTEM.search(code)
    if not match and path.startswith(SYSTEM_CALLS_IN):
        match = SYSTEM_CALLS.search(code)
    if match:
        yield f"{path}: names a system outside of daemon/platform: {match.group().strip()}"


def is_code(tree, path, text):
    if path.endswith((".c", ".h", ".py", ".sh", ".cmake", ".proto", ".in", "CMakeLists.txt")):
        return True
    return text.startswith("#!") and os.access(os.path.join(tree, path), os.X_OK)


def check_sources(tree):
    paths = list(files_of(tree))
    headers = Headers([p for p in paths if p.endswith(".h")])
    yield from check_tags(tree, [p for p in paths if p.endswith((".c", ".h"))])
    yield from check_functions(tree, paths)
    yield from check_page(tree, paths)
    for path in paths:
        text = read(tree, path)
        if "\0" in text:
            continue
        is_c = path.endswith((".c", ".h"))
        if is_code(tree, path, text):
            yield from check_text(path, text, is_c)
        for match in MACHINE_PATH.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{path}:{line}: a path of one machine"
        user = component_of(path)
        if not is_c or user in OUTSIDE:
            continue
        yield from check_system(path, text)
        if user is None:
            yield f"{path}: a C file of no component"
            continue
        if room_of(path) and room_of(path)[2] is None:
            yield f"{path}: a C file of no room"
        for _, name in INCLUDE.findall(text):
            fault = check_include(user, path, headers.find(path, name), name)
            if fault:
                yield fault


def objects_of(tree, build):
    """(source path, object path) of every object of ours that has been built."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        commands = json.load(file)
    for command in commands:
        source = os.path.relpath(os.path.join(command["directory"], command["file"]), tree)
        words = shlex.split(command["command"])
        output = os.path.join(command["directory"], words[words.index("-o") + 1])
        if os.path.exists(output) and component_of(source) not in OUTSIDE | {None}:
            yield source, output


def run(*command):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def symbols_of(outputs, *options):
    """{object: its symbols}, by one run of nm: "FILE: NAME TYPE ..." a line."""
    found = {output: set() for output in outputs}
    for line in run("nm", "-P", "-A", *options, *outputs).splitlines():
        output, rest = line.split(": ", 1)
        found[output].add(rest.split()[0])
    return found


def writable_sections(outputs):
    """(object, section) of each non-empty section that holds writable data of the program."""
    output = None
    for line in run("size", "-A", *outputs).splitlines():
        words = line.split()
        if line.endswith(":") and len(words) >= 2:
            output = line.rsplit(" ", 1)[0].rstrip()
        elif len(words) == 3 and words[0].startswith((".data", ".bss", ".tdata", ".tbss")):
            if not words[0].startswith(".data.rel.ro") and int(words[1]) > 0:
                yield output, words[0]


def check_symbol(user, source, symbol):
    if user in PURE and (not PURE_SYMBOLS.fullmatch(symbol) or PURE_BUT_NOT.fullmatch(symbol)):
        return f"{source}: {user} may not use {symbol}: a machine without I/O"
    if user in ("daemon/platform", "daemon/engine") and ENGINE_SYMBOLS.fullmatch(symbol):
        return f"{source}: {user} may not use {symbol}"
    return None


def declared(tree):
    """{function: the component whose public header declares it}"""
    return {name: component_of(path) for path in files_of(tree)
            if path.endswith(".h") and (component_of(path) or "").endswith("!")
            for name in re.findall(r"\b(\w+)\(", read(tree, path))}


def check_objects(tree, build):
    source_of = {output: source for source, output in objects_of(tree, build)}
    if not source_of:
        yield f"{build}: nothing is built there"
        return
    owners = {}  # symbol -> components that define it, one or more that are never linked together
    sources = {}  # symbol -> files that define it
    upward = set()  # (file, symbol of a floor above)
    for output, symbols in symbols_of(source_of, "-g", "--defined-only").items():
        for symbol in symbols - {"main"}:
            owners.setdefault(symbol, set()).add(component_of(source_of[output]))
            sources.setdefault(symbol, set()).add(source_of[output])
    for symbol, files in sorted(sources.items()):
        if len(files) > 1 and not all(SYSTEM_FOLDER.match(one) for one in files):
            yield f"{symbol} is defined in {' and in '.join(sorted(files))}"
    for symbol, component in declared(tree).items():
        if symbol in owners:
            owners[symbol].add(component)
    for output, symbols in symbols_of(source_of, "-u").items():
        source = source_of[output]
        user = component_of(source)
        for symbol in symbols:
            used = owners.get(symbol)
            if used is None:
                fault = check_symbol(user, source, symbol)
                if fault:
                    yield fault
            elif not any(may_use(user, one) or may_use(user, one + "!") for one in used):
                yield f"{source}: {user} may not use {symbol} of {' or '.join(sorted(used))}"
            elif all(is_upward(source, one) for one in sources.get(symbol, {source})):
                upward.add((source, symbol))
                if symbol not in UPWARD_LEFT.get(source, "").split():
                    yield f"{source}: may not use {symbol}: it is on a floor above"
    for source, names in UPWARD_LEFT.items() if is_own(tree) else ():
        for name in names.split():
            if not name.endswith(".h") and (source, name) not in upward:
                yield f"{source}: uses {name} no more; take it off UPWARD_LEFT"
    for output, section in writable_sections(source_of):
        if component_of(source_of[output]).startswith(LIBRARIES):
            yield f"{source_of[output]}: writable data in a library ({section})"


def check_libraries(tree, build):
    """What a shared library of ours shows to a program has our prefix or is in a public header."""
    public = declared(tree)
    for path in sorted(glob.glob(os.path.join(build, "lib", "lib*.so"))):
        for symbol in sorted(symbols_of([path], "-D", "--defined-only")[path]):
            symbol, _, version = symbol.partition("@")
            if symbol in ("UDPTUN_0", "UDPTUN_CLIENT_0"):
                continue  # the version itself
            if is_own(tree) and not version:
                yield f"{os.path.basename(path)}: {symbol} has no version"
            if not symbol.startswith("udptun_") and symbol not in public:
                yield f"{os.path.basename(path)}: exports {symbol}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", required=True)
    parser.add_argument("--build")
    options = parser.parse_args()
    tree = os.path.realpath(options.source)
    faults = list(check_sources(tree))
    if options.build:
        faults += check_objects(tree, os.path.realpath(options.build))
        faults += check_libraries(tree, os.path.realpath(options.build))
    for fault in sorted(set(faults)):
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
