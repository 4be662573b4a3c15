# SPDX-License-Identifier: MIT
"""Reads figures in Prometheus' text, strictly: what is no line of the format fails."""
import re

SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')
ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


class Figures:
    def __init__(self, text):
        self.text = text
        self.samples = {}  # (name, frozenset of labels) -> value
        self.types, self.helps, self.order = {}, {}, []
        self.ended = False
        for line in text.removesuffix("\n").split("\n"):
            assert not self.ended, f"after the end: {line}"
            if line == "# EOF":
                self.ended = True
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name not in self.types, f"{name} has two types"
                self.types[name] = kind
                self.order.append(name)
            elif line.startswith("# HELP "):
                name, text = line[7:].split(" ", 1)
                assert name not in self.helps, f"{name} is explained twice"
                self.helps[name] = text
            elif not line.startswith("# UNIT "):
                self.read_sample(line)

    def read_sample(self, line):
        match = SAMPLE.match(line)
        assert match, f"no sample: {line!r}"
        labels = frozenset((k, re.sub(r"\\.", lambda m: ESCAPES[m[0]], v)) for k, v in LABEL.findall(match[2] or ""))
        key = match[1], labels
        assert key not in self.samples, f"twice: {line}"
        assert self.order and match[1].startswith(self.order[-1].removesuffix("_total")), f"{line} is not with its family"
        self.samples[key] = float(match[3])

    def value(self, name, default=None, **labels):
        """Of the one sample with exactly these labels."""
        return self.samples.get((name, frozenset(labels.items())), default)

    def sum(self, name, **labels):
        return sum(v for (n, have), v in self.samples.items() if n == name and frozenset(labels.items()) <= have)

    def labels(self, name, label):
        """All values of one label of a family."""
        return {dict(have).get(label) for (n, have) in self.samples if n == name}

    def counters(self):
        """What may not fall: counters, and the counts of histograms."""
        found = {}
        for (name, labels), v in self.samples.items():
            base = re.sub(r"_(bucket|count|sum)$", "", name)
            if self.types.get(name) == "counter" or self.types.get(name.removesuffix("_total")) == "counter" or \
                    self.types.get(base) == "histogram":
                found[name, labels] = v
        return found

    def check_histograms(self):
        """Counts by bound never fall, and the last is the count of all."""
        for name, kind in self.types.items():
            if kind != "histogram":
                continue
            rows = {}
            for (n, have), v in self.samples.items():
                if n == f"{name}_bucket":
                    labels = dict(have)
                    bound = float(labels.pop("le").replace("+Inf", "inf"))
                    rows.setdefault(frozenset(labels.items()), []).append((bound, v))
            for labels, buckets in rows.items():
                counts = [v for _, v in sorted(buckets)]
                assert counts == sorted(counts), (name, labels)
                assert max(buckets)[0] == float("inf")
                assert counts[-1] == self.samples[f"{name}_count", labels], (name, labels)
                assert (f"{name}_sum", labels) in self.samples


def scrape(server, path="/metrics", **kw):
    answer = server.get(path, **kw)
    assert answer.status == 200, answer.body
    figures = Figures(answer.body.decode() if isinstance(answer.body, bytes) else answer.body)
    figures.check_histograms()
    return figures
