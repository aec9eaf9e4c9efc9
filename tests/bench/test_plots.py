# SPDX-License-Identifier: Apache-2.0
"""The pages of the benchmarks: sections stay with their owners, plots say what was measured."""
import json
import os
import re
import shutil
import tempfile
import unittest
import xml.etree.ElementTree

import page
import plots
import run

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs")


class Pages(unittest.TestCase):
    def setUp(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.path = os.path.join(folder, "page.md")

    def test_each_benchmark_changes_its_own_part_only(self):
        page.write_section(self.path, "latency", "late 1")
        page.write_rest(self.path, "# Benchmarks\n\nfast 1\n")
        page.write_section(self.path, "control", "asked 1")
        page.write_section(self.path, "latency", "late 2")
        page.write_rest(self.path, "# Benchmarks\n\nfast 2\n")
        text = page.read(self.path)
        self.assertEqual(re.sub(r"<!--.*?-->\n", "", text),
                         "# Benchmarks\n\nfast 2\n\nasked 1\n\nlate 2\n")
        page.write_rest(self.path, "# Benchmarks\n\nfast 2\n")
        self.assertEqual(page.read(self.path), text)  # again is the same

    def test_the_pages_show_the_plots_that_there_are(self):
        shown = set()
        for name in ("benchmarks.md", "benchmarks-tun2socks.md"):
            shown |= set(re.findall(r"!\[[^]]+\]\(plots/([\w-]+)\.svg\)",
                                    page.read(os.path.join(DOCS, name))))
        there = {os.path.splitext(name)[0] for name in os.listdir(os.path.join(DOCS, "plots"))
                 if name.endswith(".svg")}
        self.assertEqual(shown, there)
        self.assertLessEqual({"throughput", "cpu", "memory", "latency", "recovery"}, there)


def rounds(pps, cpu):
    return [{"pps": p, "loss": 0, "cpu": c, "ends": [c / 2, c / 2], "p50": 1, "p99": 2}
            for p, c in zip(pps, cpu)]


class Data(unittest.TestCase):
    def test_ratios_are_those_of_rounds(self):
        case = (run.ONE_WAY, 1200, 1)
        data = run.data_of({case: {"plain relay": rounds([1, 10, 100], [4, 4, 4]),
                                   "udptund": rounds([3, 20, 500], [1, 2, 3])}},
                           [{"name": "udptund", "flows": 10, "rest": [5, 6], "full": [15, 26]}])
        self.assertEqual(data["cases"][0]["name"], "one way, 1200 bytes, 1 flow")
        subject = data["cases"][0]["subjects"]["udptund"]
        self.assertEqual((subject["ppsVsRelay"], subject["cpuVsRelay"]), (3, 0.5))
        self.assertEqual(data["memory"][0]["perFlowKib"], [1, 2])


@unittest.skipUnless(shutil.which("gnuplot"), "gnuplot is not installed")
class Plots(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def draw(self, name, data):
        plots.publish(os.path.join(self.folder, "page.md"), name, data)
        folder = os.path.join(self.folder, "plots")
        drawn = {}
        for file in sorted(os.listdir(folder)):
            if file.endswith(".svg"):
                with open(os.path.join(folder, file), encoding="utf-8") as f:
                    drawn[file] = f.read()
                xml.etree.ElementTree.fromstring(drawn[file])
        return drawn

    def committed(self, name):
        with open(os.path.join(DOCS, "plots", name + ".json"), encoding="utf-8") as file:
            return json.load(file)

    def test_the_same_data_draws_the_same_bytes(self):
        for name in plots.BENCHMARKS:
            first = self.draw(name, self.committed(name))
            self.assertEqual(self.draw(name, self.committed(name)), first)

    def test_numbers_names_and_what_never_came_are_in_the_picture(self):
        svg = self.draw("latency", {"loads": [], "faults": [
            {"scenario": "cut30", "subject": "udptund", "againMs": 298},
            {"scenario": "cut30", "subject": "plain", "againMs": None}]})["recovery.svg"]
        for part in ("298", "never", "udptund", "plain", "path cut"):
            self.assertIn(part, svg)

    def test_text_follows_light_and_dark(self):
        for svg in self.draw("bench", self.committed("bench")).values():
            self.assertIn("prefers-color-scheme:dark", svg)
            self.assertNotRegex(svg, r"(?i)#010203|rgb\(\s*1,\s*2,\s*3\)|color=\"black\"|<desc>")
            self.assertRegex(svg, r'<text><tspan[^>]*>|fill="currentColor"')


if __name__ == "__main__":
    unittest.main()
