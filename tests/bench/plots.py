#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""plots.py - the plots of the benchmarks' pages, by gnuplot, as SVG.

    plots.py FOLDER        draw again what FOLDER/*.json holds; nothing is measured

A benchmark that writes its page puts what the plots need into a small JSON file beside them
(publish()). The same file gives the same bytes. Text and axes take the colour of the page's text
where the viewer tells light from dark, and bars have colours that can be told apart on both.
"""
import glob
import json
import math
import os
import re
import shutil
import subprocess
import sys

INK = "#010203"  # stands for the colour of text, until light and dark are told apart
COLOURS = {"udptund": "#0a84d8", "tun2socks": "#0a84d8", "TUN and tunnel": "#0a84d8",
           "udptund without TUN": "#5cb85c", "direct": "#5cb85c", "sink alone": "#8a8a8a",
           "plain relay": "#8a8a8a", "plain": "#8a8a8a", "v2ray": "#d9822b", "badvpn": "#d9822b"}
STYLE = ("<style>svg{color:#1f2328;font-family:sans-serif}"
         "@media(prefers-color-scheme:dark){svg{color:#e6edf3}}</style>")


# ---- from bars to gnuplot ------------------------------------------------------------------------

class Chart:
    """Groups of bars: values[group][series] is a number, or None for a bar that is missing."""

    def __init__(self, title, unit, groups, series, values, *, log=False, line=None, tops=None,
                 marks=None, missing="", digits=1):
        self.title, self.unit, self.groups, self.series = title, unit, groups, series
        self.values = values
        self.log = log          # a logarithmic axis
        self.line = line        # (height, text) of a line through all of it
        self.tops = tops        # what pale bars behind the others reach, as values
        self.marks = marks      # for each group a height to be marked
        self.missing = missing  # said in the place of a missing bar
        self.digits = digits    # behind the point, of the numbers on the bars

    def places(self):
        """(x, group, series) of every bar; a group is one unit wide, a fifth of it gap."""
        width = 0.8 / len(self.series)
        for g, _ in enumerate(self.groups):
            for s, name in enumerate(self.series):
                yield g + (s - (len(self.series) - 1) / 2) * width, g, name

    def block(self, values, name, number=False):
        rows = []
        for x, group, series in self.places():
            value = values[group].get(series)
            if series == name and value is not None:
                rows.append(f"{x:.4f} {value:.6g}" + (f' "{value:.{self.digits}f}"' if number else
                                                      ""))
        return "\n".join(rows)

    def script(self, path):
        wrapped = ", ".join('"{}" {}'.format(text.replace(", ", "\\n"), i)
                            for i, text in enumerate(self.groups))
        below = max(text.count(", ") for text in self.groups) + 1
        lines = ['set terminal svg size 840,400 fixed noenhanced font "sans-serif,13"',
                 f'set output "{path}"', f'set title "{self.title}" tc rgb "{INK}"',
                 f'set ylabel "{self.unit}" tc rgb "{INK}"',
                 f'set border 3 lc rgb "{INK}"', f'set xtics nomirror scale 0 ({wrapped}) '
                 f'tc rgb "{INK}" font ",11"', f'set ytics nomirror tc rgb "{INK}"',
                 f"set bmargin {below + 1}", f'set grid ytics lc rgb "#8a8a8a" lw 0.4 dt 3',
                 f'set key outside top center horizontal tc rgb "{INK}"',
                 f"set xrange [-0.5:{len(self.groups) - 0.5}]",
                 f"set boxwidth {0.72 / len(self.series):.4f}", "set style fill solid noborder",
                 self.axis(), "set offsets 0, 0, graph 0.08, 0"]
        plots = []
        for s, name in enumerate(self.series):
            colour = COLOURS.get(name, "#8a8a8a")
            if not self.block(self.values, name):
                plots.append(f'NaN with boxes lc rgb "{colour}" title "{name}"')
                continue
            if self.tops:
                lines.append(f"$top{s} << EOD\n{self.block(self.tops, name)}\nEOD")
                plots.append(f'$top{s} using 1:2 with boxes lc rgb "{colour}" fs transparent solid '
                             "0.35 noborder notitle")
            lines.append(f"$bar{s} << EOD\n{self.block(self.values, name)}\nEOD")
            plots.append(f'$bar{s} using 1:2 with boxes lc rgb "{colour}" title "{name}"')
            lines.append(f"$say{s} << EOD\n{self.block(self.tops or self.values, name, True)}\nEOD")
            plots.append(f'$say{s} using 1:2:3 with labels offset 0,0.5 font ",9" tc rgb "{INK}" '
                         "notitle")
        for x, group, name in self.places():
            if self.missing and self.values[group].get(name) is None:
                lines.append(f'set label "{self.missing}" at {x:.4f}, graph 0.03 rotate by 90 left '
                             f'tc rgb "{INK}" font ",11"')
        if self.line:
            plots.append(f'{self.line[0]} with lines lc rgb "{INK}" dt 2 lw 1 title "{self.line[1]}"')
        if self.marks:
            rows = "\n".join(f"{g - 0.42} {height} 0.84 0" for g, height in enumerate(self.marks))
            lines.append(f"$marks << EOD\n{rows}\nEOD")
            plots.append(f'$marks using 1:2:3:4 with vectors nohead lc rgb "{INK}" lw 2 title "path"')
        return "\n".join(lines) + "\nplot " + ", \\\n  ".join(plots) + "\n"

    def axis(self):
        """From 0; on a logarithmic one whole decades, the least bar at least a third of one high."""
        values = [v for of in self.values for v in of.values() if v]
        if not self.log or not values:
            return "set yrange [0:*]"
        low, high = math.floor(math.log10(min(values) / 2)), math.ceil(math.log10(max(values) * 1.5))
        return f"set logscale y; set yrange [{10.0 ** low:g}:{10.0 ** high:g}]"

    def draw(self, path):
        subprocess.run(["gnuplot"], input=self.script(path), text=True, check=True,
                       env={**os.environ, "LC_ALL": "C"})
        with open(path, encoding="utf-8") as file:
            svg = file.read()
        svg = re.sub(r"<desc>.*?</desc>\n?", "", svg, flags=re.S)  # gnuplot's version
        svg = re.sub(r"(?i)rgb\(\s*1,\s*2,\s*3\)|" + INK, "currentColor", svg)
        svg = svg.replace('color="black"', 'color="currentColor"')
        svg = re.sub(r"(<svg[^>]*>)", r"\1\n" + STYLE, svg, count=1)
        with open(path, "w", encoding="utf-8") as file:
            file.write(svg)


# ---- the plots of each benchmark -----------------------------------------------------------------

def bench(data):
    cases, against = data["cases"], ["udptund", "v2ray"]
    names = [case["name"].replace(" to a target with UDP_", " ") for case in cases]

    def ratios(key):
        return [{name: case["subjects"].get(name, {}).get(key) for name in against}
                for case in cases]
    yield "throughput", Chart(
        "Packets a second, against the plain relay in the same round", "× plain relay", names,
        against, ratios("ppsVsRelay"), line=(1, "plain relay"), digits=2)
    yield "cpu", Chart(
        "CPU for a packet, both ends, against the plain relay in the same round", "× plain relay",
        names, against, ratios("cpuVsRelay"), line=(1, "plain relay"), digits=2)
    if data["memory"]:
        rows = data["memory"]
        yield "memory", Chart(
            "Resident memory for a flow", "KiB", ["udp-local", "udp-server"],
            [row["name"] for row in rows],
            [{row["name"]: row["perFlowKib"][end] for row in rows} for end in (0, 1)], log=True,
            digits=2)


def latency(data):
    subjects = [name for name in ("udptund", "plain")
                if any(row["subject"] == name for row in data["loads"] + data["faults"])]
    loads = {}
    for row in data["loads"]:
        loads.setdefault((row["scenario"], row["load"]), {})[row["subject"]] = row
    groups = [group_name(*key) for key in loads]
    if loads:
        yield "latency", Chart(
            "Answered after: p50; pale, and the number: p99", "ms", groups, subjects,
            [{s: of[s]["p50Ms"] for s in of} for of in loads.values()],
            tops=[{s: of[s]["p99Ms"] for s in of} for of in loads.values()],
            marks=[next(iter(of.values()))["pathMs"] for of in loads.values()], digits=0)
    faults = {}
    for row in data["faults"]:
        faults.setdefault(row["scenario"], {})[row["subject"]] = row["againMs"]
    if faults:
        yield "recovery", Chart(
            "From the end of a fault until datagrams are answered again", "ms",
            [FAULTS.get(name, name) for name in faults], subjects, list(faults.values()),
            log=True, missing="never", digits=0)


FAULTS = {"cut30": "path cut, for 30 s", "restart-local": "udp-local, killed",
          "restart-server": "udp-server, killed", "half-open": "half-open, under load",
          "half-open-idle": "half-open, idle"}


def group_name(scenario, load):
    """A line each: what, over which path, beside what."""
    what, *words = scenario.split("-")
    kind, _, beside = load.partition(" ")
    flows = re.sub(r"\D", "", what)
    path = " ".join(word + " ms" if word.isdigit() else word.replace("mbit", " Mbit/s")
                    for word in words if word != kind)
    return ", ".join(filter(None, [f"{kind} × {flows}" if flows else kind, path, beside]))


def tun2socks(data):
    tcp = data.get("tcp", [])
    if tcp:
        names = list(tcp[0]["mbit"])
        yield "tun2socks-tcp", Chart(
            "TCP through a TUN device and tun2socks", "Gbit/s", [row["case"] for row in tcp], names,
            [{name: row["mbit"][name] / 1000 for name in names} for row in tcp])
    udp = data.get("udp", [])
    if udp:
        names = list(udp[0]["cpuVsRelay"])
        yield "tun2socks-udp", Chart(
            "UDP: CPU for a packet, both ends, against the plain relay in the same round",
            "× plain relay", [row["case"] for row in udp], names,
            [row["cpuVsRelay"] for row in udp], line=(1, "plain relay"), digits=2)


BENCHMARKS = {"bench": bench, "latency": latency, "tun2socks": tun2socks}


# ---- data files ----------------------------------------------------------------------------------

def folder_of(page):
    return os.path.join(os.path.dirname(os.path.abspath(page)), "plots")


def draw(folder, name):
    """Draw what the data file holds. Without gnuplot a word, and the old plots stay."""
    if not shutil.which("gnuplot"):
        print("gnuplot is not installed (packaging/setup bench): nothing is drawn", file=sys.stderr)
        return
    with open(os.path.join(folder, name + ".json"), encoding="utf-8") as file:
        data = json.load(file)
    for plot, chart in BENCHMARKS[name](data):
        chart.draw(os.path.join(folder, plot + ".svg"))


def publish(page, name, data):
    """The data file of a benchmark that writes `page`, and its plots."""
    folder = folder_of(page)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as file:
        json.dump(data, file, indent=1)
        file.write("\n")
    draw(folder, name)


def figure(plot, text):
    """How a page shows a plot."""
    return f"![{text}](plots/{plot}.svg)"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for path in sorted(glob.glob(os.path.join(sys.argv[1], "*.json"))):
        draw(sys.argv[1], os.path.splitext(os.path.basename(path))[0])


if __name__ == "__main__":
    main()
