#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Proves that layers.py fails: on a small made-up house, with one fault put in at a time."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import unittest

LAYERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "layers.py")
HEAD = "/* SPDX-License-Identifier: Apache-2.0 */\n"

# A house without a fault: every kind of arrow that is allowed.
CLEAN = {
    "proto/buffer.h": "int buffer_put(void);\n",
    "proto/buffer.c": '#include "proto/buffer.h"\n#include <string.h>\n'
                      "int buffer_put(void) { return (int)strlen(\"x\"); }\n",
    "proto/include/udptun/error.h": "#define UDPTUN_OK 0\n",
    "proto/udpt/machine.h": "int machine_run(void);\n",
    "proto/udpt/machine.c": '#include "proto/buffer.h"\n#include "proto/udpt/machine.h"\n'
                            "int machine_run(void) { return buffer_put(); }\n",
    "proto/control/codec.c": "#include <jansson.h>\nint codec_read(void);\n"
                             "int codec_read(void) { return 1; }\n",
    "daemon/engine/include/udptun/engine.h": "#include <udptun/error.h>\nint udptun_run(void);\n",
    "daemon/engine/face/engine.c": '#include "proto/udpt/machine.h"\n#include <udptun/engine.h>\n'
                             "int udptun_run(void) { return machine_run(); }\n",
    "daemon/control/actions/action.c": "#include <udptun/engine.h>\nint codec_read(void);\n"
                               "int action(void);\n"
                               "int action(void) { return udptun_run() + codec_read(); }\n",
    "daemon/main.c": "#include <stdlib.h>\nint action(void);\n"
                     "int main(void) { exit(action()); }\n",
}

OBJECTS = {}  # of the clean house: source -> the bytes of its object


class Layers(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.tree = holder.name

    def put(self, path, text, head=HEAD):
        full = os.path.join(self.tree, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(head + text)

    def compile(self):
        """Objects and compile_commands.json as CMake would leave them; <jansson.h> is made up."""
        build = os.path.join(self.tree, "build")
        self.put("build/include/jansson.h", "")
        commands = []
        for folder, _, names in os.walk(self.tree):
            for name in names:
                source = os.path.relpath(os.path.join(folder, name), self.tree)
                if not source.endswith(".c"):
                    continue
                output = source.replace("/", "_") + ".o"
                includes = [f"-I{os.path.join(self.tree, path)}" for path in (
                    "", "build/include", "proto/include", "daemon/engine/include")]
                command = ["cc", "-fPIC", "-c", *includes, os.path.join(self.tree, source),
                           "-o", output]
                self.compile_one(source, command, os.path.join(build, output), build)
                commands.append({"directory": build, "file": os.path.join(self.tree, source),
                                 "command": shlex.join(command)})
        with open(os.path.join(build, "compile_commands.json"), "w", encoding="utf-8") as file:
            json.dump(commands, file)
        return ["--build", build]

    def compile_one(self, source, command, output, build):
        """What the clean house has is compiled once for all tests."""
        with open(os.path.join(self.tree, source), encoding="utf-8") as file:
            is_clean = file.read() == HEAD + CLEAN.get(source, "")
        if not (is_clean and source in OBJECTS):
            subprocess.run(command, check=True, cwd=build)
        if is_clean and source in OBJECTS:
            with open(output, "wb") as file:
                file.write(OBJECTS[source])
        elif is_clean:
            with open(output, "rb") as file:
                OBJECTS[source] = file.read()

    def run_on(self, changes, symbols=True):
        for path, text in {**CLEAN, **changes}.items():
            self.put(path, text)
        return self.judge(symbols)

    def judge(self, symbols=True):
        more = self.compile() if symbols else []
        result = subprocess.run([sys.executable, LAYERS, "--source", self.tree, *more], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return result.returncode, result.stdout

    def assert_fault(self, changes, *words, symbols=True):
        status, text = self.run_on(changes, symbols)
        self.assertEqual(status, 1, text)
        self.assertEqual(len(text.splitlines()), 1, text)
        for word in words:
            self.assertIn(word, text)

    def test_clean_house_passes(self):
        self.assertEqual(self.run_on({}), (0, ""))

    def test_include_upward(self):
        self.assert_fault({"proto/udpt/x.c": "#include <udptun/engine.h>\n"},
                          "proto/udpt/x.c", "daemon/engine!")

    def test_the_codec_and_the_congestion_control_know_no_session(self):
        upward = '#include "proto/udpt/machine.h"\n'
        folders = ("codec", "core", "pace")
        status, text = self.run_on({f"proto/udpt/{f}/x.c": upward for f in folders})
        self.assertEqual(status, 1, text)
        for folder, line in zip(folders, text.splitlines(), strict=True):
            self.assertIn(f"proto/udpt/{folder}/x.c", line)

    def test_the_floors_of_the_machine_call_no_floor_above(self):
        floors = ("core", "pace", "legs", "flows", "lanes", "session")
        changes = {f"proto/udpt/{floor}/{floor}.c":
                   f"int of_{floor}(void);\nint of_{above}(void);\n"
                   f"int of_{floor}(void) {{ return of_{above}(); }}\n"
                   for floor, above in zip(floors, floors[1:])}
        changes["proto/udpt/session/session.c"] = "int of_session(void);\nint of_session(void) { return 1; }\n"
        status, text = self.run_on(changes)
        self.assertEqual(status, 1, text)
        lines = text.splitlines()
        self.assertEqual(len(lines), len(floors) - 1, text)
        for floor, above in zip(floors, floors[1:]):
            self.assertTrue(any(floor + ".c: " in line and "of_" + above in line
                                for line in lines), text)

    def test_include_upward_relative(self):
        self.assert_fault({"proto/udpt/x.c": '#include "../control/messages.h"\n',
                           "proto/control/messages.h": "int y;\n"},
                          "proto/udpt/x.c", "proto/control", symbols=False)

    def test_control_sees_the_engine_by_its_public_header_only(self):
        self.assert_fault({"daemon/engine/tunnel/flow.h": "int flow(void);\n",
                           "daemon/control/x.c": '#include "daemon/engine/tunnel/flow.h"\n'},
                          "daemon/control/x.c", "daemon/engine/tunnel/flow.h")

    def test_engine_includes_jansson(self):
        self.assert_fault({"daemon/engine/core/x.c": "#include <jansson.h>\n"}, "<jansson.h>")

    def test_machine_includes_a_socket_header(self):
        self.assert_fault({"proto/udpt/x.c": "#include <arpa/inet.h>\n"}, "<arpa/inet.h>")

    def test_machine_reads_a_clock(self):
        self.assert_fault({"proto/udpt/x.c": "int clock_gettime(int, void *);\nint x(void);\n"
                                             "int x(void) { return clock_gettime(0, 0); }\n"},
                          "clock_gettime", "without I/O")

    def test_machine_draws_random_bytes_of_its_own(self):
        self.assert_fault({"proto/socks5/x.c": "void randombytes_buf(void *, unsigned long);\n"
                                               "void x(void *p);\n"
                                               "void x(void *p) { randombytes_buf(p, 4); }\n"},
                          "randombytes_buf")

    def test_engine_exits(self):
        self.assert_fault({"daemon/engine/core/x.c": "#include <stdlib.h>\nvoid x(void);\n"
                                                "void x(void) { exit(1); }\n"}, "may not use exit")

    def test_engine_installs_a_signal_handler(self):
        self.assert_fault({"daemon/engine/core/x.c": "int sigaction(int, void *, void *);\nvoid x(void);\n"
                                                "void x(void) { sigaction(2, 0, 0); }\n"},
                          "sigaction")

    def test_symbol_upward_without_an_include(self):
        self.assert_fault({"daemon/engine/core/x.c": "int action(void);\nint x(void);\n"
                                                "int x(void) { return action(); }\n"},
                          "may not use action of daemon/control")

    def test_include_of_a_room_above(self):
        self.assert_fault({"daemon/engine/tunnel/flow.h": "int flow(void);\n",
                           "daemon/engine/core/x.c": '#include "daemon/engine/tunnel/flow.h"\n'},
                          "daemon/engine/core/x.c", "floor above", symbols=False)

    def test_include_of_a_room_beside(self):
        self.assert_fault({"daemon/engine/local/flow.h": "int flow(void);\n",
                           "daemon/engine/server/x.c": '#include "daemon/engine/local/flow.h"\n'},
                          "daemon/engine/server/x.c", "floor above", symbols=False)

    def test_include_of_a_room_below_passes(self):
        status, text = self.run_on({
            "daemon/engine/core/flow.h": "int flow(void);\n",
            "daemon/engine/tunnel/x.c": '#include "daemon/engine/core/flow.h"\n'}, symbols=False)
        self.assertEqual((status, text), (0, ""))

    def test_symbol_of_a_room_above(self):
        self.assert_fault({"daemon/engine/tunnel/y.c": "int flow(void);\n"
                                                       "int flow(void) { return 1; }\n",
                           "daemon/engine/core/x.c": "int flow(void);\nint x(void);\n"
                                                     "int x(void) { return flow(); }\n"},
                          "daemon/engine/core/x.c", "flow", "floor above")

    def test_file_of_no_room(self):
        self.assert_fault({"daemon/engine/x.c": "int x;\n"}, "no room", symbols=False)

    def test_second_definition_of_a_tag(self):
        self.assert_fault({"proto/udpt/x.c": "struct thing {\n    int a;\n};\n",
                           "daemon/engine/core/x.c": "union thing {\n    long b;\n};\n"},
                          "thing", "proto/udpt/x.c", "daemon/engine/core/x.c", symbols=False)

    def test_a_function_name_that_means_two_things(self):
        self.assert_fault({"proto/udpt/codec/x.c": "static int find(int a)\n{\n    return a;\n}\n",
                           "daemon/engine/core/x.c": "static int find(long a)\n{\n    return 1;\n}\n"},
                          "find()", "proto/udpt/codec/x.c", "daemon/engine/core/x.c", symbols=False)

    def test_a_function_name_that_is_public_and_a_files_own(self):
        self.assert_fault({"proto/udpt/codec/x.c": "static int find(int a)\n{\n    return a;\n}\n",
                           "daemon/engine/core/x.c": "int find(int a)\n{\n    return 1;\n}\n"},
                          "find()", "public and a file's own", symbols=False)

    def test_callbacks_of_one_kind_pass(self):
        status, text = self.run_on({
            "proto/udpt/codec/x.c": "static void on_due(void *arg)\n{\n    (void)arg;\n}\n",
            "daemon/engine/core/x.c": "static void on_due(void *of)\n{\n    (void)of;\n}\n"},
            symbols=False)
        self.assertEqual((status, text), (0, ""))

    def test_a_page_that_names_a_file_which_is_not_there(self):
        self.assert_fault({"docs/architecture.md": "`core/gone.c` does it, `x.c` and `codec/*.c` too\n",
                           "proto/udpt/codec/x.c": ""},
                          "core/gone.c", symbols=False)

    def test_second_definition_for_another_system_passes(self):
        status, text = self.run_on({
            "daemon/platform/posix/x.c": "struct thing {\n    int a;\n};\n",
            "daemon/platform/linux/x.c": "struct thing {\n    int b;\n};\n"}, symbols=False)
        self.assertEqual((status, text), (0, ""))

    def test_second_definition_of_a_function(self):
        self.assert_fault({"proto/x.c": "int twice(void);\nint twice(void) { return 1; }\n",
                           "daemon/engine/core/x.c": "int twice(void);\n"
                                                     "int twice(void) { return 2; }\n"},
                          "twice", "proto/x.c", "daemon/engine/core/x.c")

    def test_writable_global(self):
        self.assert_fault({"daemon/engine/core/x.c": "static int n;\nint x(void);\n"
                                                "int x(void) { return n++; }\n"}, "writable data")

    def test_writable_thread_local(self):
        self.assert_fault({"proto/x.c": "static _Thread_local int n = 3;\nint x(void);\n"
                                        "int x(void) { return n++; }\n"}, "writable data")

    def test_constant_table_of_pointers_passes(self):
        status, text = self.run_on({
            "daemon/engine/core/x.c": 'static const char *const names[] = {"a", "b"};\n'
                                 "const char *x(int i);\n"
                                 "const char *x(int i) { return names[i]; }\n"})
        self.assertEqual((status, text), (0, ""))

    def test_library_exports_an_inner_name(self):
        for path, text in CLEAN.items():
            self.put(path, text)
        os.makedirs(os.path.join(self.tree, "build/lib"))
        for hide, fault in (("hidden", ""), ("default", "libudptun.so: exports inner\n")):
            self.put("build/x.c", "__attribute__((visibility(\"%s\"))) void inner(void) {}\n"
                                  "void udptun_x(void) {}\n" % hide)
            subprocess.run(["cc", "-shared", "-fPIC", os.path.join(self.tree, "build/x.c"), "-o",
                            os.path.join(self.tree, "build/lib/libudptun.so")], check=True)
            os.remove(os.path.join(self.tree, "build/x.c"))
            self.assertEqual(self.judge(), (1 if fault else 0, fault))

    def test_system_outside_of_the_platform(self):
        for line, word in (("#include <errno.h>", "errno.h"), ("#ifdef _WIN32\n#endif", "_WIN32"),
                           ("#include <ev.h>", "ev.h"), ("struct sockaddr_in;", "sockaddr_in"),
                           ("#include <sys/uio.h>", "uio.h"), ("struct iovec;", "iovec"),
                           ("int getpid(void);", "getpid("),
                           ("long send(int);\nlong x(void);\nlong x(void) { return send(1); }",
                            "send(")):
            self.assert_fault({"tun2socks/x.c": line + "\n"}, "names a system", word,
                              symbols=False)

    def test_system_in_the_platform_or_in_a_comment_passes(self):
        status, text = self.run_on({
            "daemon/platform/posix/x.c": "#include <errno.h>\n#ifdef __linux__\n#endif\n",
            "tun2socks/x.c": "/* errno is not looked at */\n"}, symbols=False)
        self.assertEqual((status, text), (0, ""))

    def test_no_spdx_line(self):
        for path, text in CLEAN.items():
            self.put(path, text)
        self.put("proto/x.c", "int x;\n", head="")
        status, text = self.judge(symbols=False)
        self.assertEqual((status, text), (1, "proto/x.c: the first line is not the SPDX line\n"))

    def test_too_long(self):
        self.assert_fault({"proto/x.c": "\n" * 501}, "502 lines", symbols=False)

    def test_path_of_one_machine(self):
        self.assert_fault({"proto/x.c": "/* see /ho" "me/me/notes */\n"}, "proto/x.c:2",
                          symbols=False)

    def test_file_of_no_component(self):
        self.assert_fault({"misc/x.c": "int x;\n"}, "no component", symbols=False)

    def test_unfinished(self):
        self.assert_fault({"proto/x.c": "/* TO" "DO */\n"}, "unfinished", symbols=False)


if __name__ == "__main__":
    unittest.main()
