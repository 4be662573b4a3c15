# SPDX-License-Identifier: MIT
"""Figures as Markdown tables, and some of them as one picture."""
import html
import statistics


def median(values):
    return statistics.median(values)


def spread(values, digits=0, scale=1.0):
    """`12 (11 to 14)`: the median, the smallest and the largest."""
    low, mid, high = min(values) * scale, median(values) * scale, max(values) * scale
    return f"{mid:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


class Report:
    def __init__(self):
        self.lines = []
        self.panels = []  # (title, better, {label: value})

    def say(self, text=""):
        print(text, flush=True)
        self.lines.append(text)

    def table(self, head, rows):
        self.say()
        self.say("| " + " | ".join(head) + " |")
        self.say("| " + " | ".join("---" for _ in head) + " |")
        for row in rows:
            self.say("| " + " | ".join(row) + " |")

    def plot(self, title, better, values):
        self.panels.append((title, better, values))

    def text(self):
        return "\n".join(self.lines) + "\n"

    def svg(self):
        """A panel a measure, a bar a contender; hostler's in colour."""
        width, bar, gap, left = 460, 18, 40, 130
        out, y = [], 10
        for title, better, values in self.panels:
            most = max(values.values()) or 1
            out.append(f'<text x="10" y="{y + 14}" font-weight="bold">{html.escape(title)}</text>'
                       f'<text x="{width + left}" y="{y + 14}" text-anchor="end" fill="#666">{better} is better</text>')
            y += 24
            for label, value in values.items():
                length = max(1, value / most * (width - 90))
                colour = "#2a7ab9" if label == "hostler" else "#b9b9b9"
                out.append(f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">{html.escape(label)}</text>'
                           f'<rect x="{left}" y="{y}" width="{length:.0f}" height="{bar - 4}" fill="{colour}"/>'
                           f'<text x="{left + length + 6:.0f}" y="{y + 12}">{value:,.{0 if value >= 100 else 1}f}</text>')
                y += bar
            y += gap - bar
        size = f'width="{width + left + 10}" height="{y}"'
        return (f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
                f'<rect width="100%" height="100%" fill="#fff"/>{"".join(out)}</svg>\n')
