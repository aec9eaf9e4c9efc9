# SPDX-License-Identifier: Apache-2.0
"""latency_report.py - tables of what latency.py has measured, for the terminal and for docs."""

import os
import time

import plots


def share(part, whole):
    return f"{100 * part / whole:.2f} %" if whole else "–"


def load_rows(result):
    for label, classes in result.get("loads", {}).items():
        for name, f in classes.items():
            head = [result["scenario"], result["subject"], f"{name} {label}".rstrip()]
            if name == "bulk":
                yield head + [str(f["sent"]), share(f["sent"] - f["received"], f["sent"]), "–",
                              "–", "–", "–", "–", f"{f['mbit']:.2f}"]
                continue
            came = f["sent"] - f["lost"]
            yield head + [str(f["sent"]), share(f["lost"], f["sent"]), share(f["late"], f["sent"]),
                          f"{f['p50Ms']:.1f}", f"{f['p90Ms']:.1f}", f"{f['p99Ms']:.1f}",
                          share(f["reordered"], came), "–"]


def fault_row(result):
    f = result["fault"]

    def ms(key, none):
        return f"{f[key]:,.0f}" if f.get(key) is not None else none
    if "reconnectedMs" in f:
        return [result["scenario"], result["subject"], ms("reconnectedMs", ""), "–", "–", "–", "–"]
    kept = {True: "kept", False: "changed", None: "–"}[f["portKept"]]
    return [result["scenario"], result["subject"], ms("againMs", "never"), ms("forthMs", "never"),
            ms("oldestForthMs", "–"), ms("oldestBackMs", "–"), kept]


LOAD_HEAD = ["scenario", "through", "load", "sent", "lost", "late", "p50 ms", "p90 ms", "p99 ms",
             "reordered", "Mbit/s"]
FAULT_HEAD = ["scenario", "through", "again after ms", "one way after ms", "oldest forth ms",
              "oldest back ms", "external port"]


def tables(results):
    """(head, rows) of what there is to show."""
    loads = [row for r in results for row in load_rows(r)]
    faults = [fault_row(r) for r in results if "fault" in r]
    rest = [[r["scenario"], r["subject"], "skipped: " + r["skipped"] if "skipped" in r else
             "failed: " + r["failed"].splitlines()[0]]
            for r in results if "skipped" in r or "failed" in r]
    return [(head, rows) for head, rows in ((LOAD_HEAD, loads), (FAULT_HEAD, faults),
                                            (["scenario", "through", "not measured"], rest))
            if rows]


def as_text(results):
    out = []
    for head, rows in tables(results):
        widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
        out += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
                for row in [head, *rows]] + [""]
    return "\n".join(out)


INTRODUCTION = """## Latency through Shadowsocks

Written by `sudo cmake --build build --target latency` (tests/bench/latency.py, whose `--help` tells
of single scenarios); do not edit by hand. {date}, {cores} cores for everything together,
{seconds:g} s a load, seed {seed}.

ss-tunnel, obfs-local, obfs-server (tls) and ss-server of Debian carry the tunnel over a path made
by tests/net/line.c; *50* and *150* are its round trip time in ms, *loss* is 1 % of the packets in
each direction, *5mbit* a rate of 5 Mbit/s with a queue of {queue}. *voice* is 172 bytes every
20 ms in each flow, echoed; *dns* ten queries of 60 bytes a second, each from a new port, *fixed*
all from one; *bulk* is 10 Mbit/s of 1200 bytes, one way. *late* is lost or later than path + 100
ms. *plain* is the plain relay described above, one connection for each flow, in the place of
udptund.

After a fault: *again* is when the flow's first answer is back, *one way* when its first datagram
comes out, both from the moment when the fault is over (restart: the new process is started);
*oldest* the greatest age at which anything of the whole run was delivered; the external port is
the one that the target sees.
"""


def data_of(results, path_ms):
    """What the plots need. `path_ms`: the round trip of each scenario's path."""
    loads, faults = [], []
    for r in results:
        for label, classes in r.get("loads", {}).items():
            loads += [{"scenario": r["scenario"], "load": f"{name} {label}".rstrip(),
                       "subject": r["subject"], "pathMs": path_ms[r["scenario"]],
                       "p50Ms": f["p50Ms"], "p90Ms": f["p90Ms"], "p99Ms": f["p99Ms"]}
                      for name, f in classes.items() if name != "bulk"]
        if "fault" in r:
            f = r["fault"]
            again_ms = f["reconnectedMs"] if "reconnectedMs" in f else f.get("againMs")
            faults.append({"scenario": r["scenario"], "subject": r["subject"],
                           "againMs": None if again_ms is None else round(again_ms)})
    return {"loads": loads, "faults": faults}


def as_markdown(results, options):
    text = INTRODUCTION.format(date=time.strftime("%Y-%m-%d", time.gmtime()), cores=os.cpu_count(),
                               seconds=options.seconds, seed=options.seed, queue=options.queue)
    if any("loads" in r for r in results):
        text += "\n" + plots.figure("latency", "Round trips of voice and DNS, p50 and p99") + "\n"
    if any("fault" in r for r in results):
        text += "\n" + plots.figure("recovery", "How long until it carries again") + "\n"
    for head, rows in tables(results):
        text += "\n" + "\n".join("| " + " | ".join(row) + " |" for row in
                                 [head, ["---"] * len(head), *rows]) + "\n"
    return text
