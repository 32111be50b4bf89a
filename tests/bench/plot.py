"""The plot of saturation.py: escrows a minute, and how busy endpoints and CPU
were, over the number of endpoints. One SVG, readable on light and dark."""
import textwrap
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 440, 64, 64, 56, 84
STYLE = """
  text { font: 13px sans-serif; fill: #222 } .title { font-size: 15px } .axis { stroke: #888; stroke-width: 1 }
  .grid { stroke: #ccc; stroke-width: 0.5 } .rate { stroke: #0a6; fill: #0a6 } .ends { stroke: #06c; fill: #06c }
  .cpu { stroke: #c60; fill: #c60 } polyline { fill: none !important; stroke-width: 2 } .legend { stroke: none }
  svg { background: #fff }
  @media (prefers-color-scheme: dark) { text { fill: #ddd } .grid { stroke: #444 } svg { background: #1b1b1b } }
"""


def _nice(value):
    """The next round number from there on."""
    step = 10 ** max(0, len(str(int(value))) - 1)
    return next(step * n for n in (1, 2, 5, 10, 20) if step * n >= value)


class Plot:
    def __init__(self, results):
        self.results = results
        self.most_x = max(r["endpoints"] for r in results)
        self.most_y = _nice(max(r["per_minute"] for r in results))
        self.parts = []

    def x(self, endpoints):
        return LEFT + (WIDTH - LEFT - RIGHT) * endpoints / self.most_x

    def y(self, share):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    def text(self, x, y, text, anchor="middle", kind=""):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>')

    def line(self, x1, y1, x2, y2, kind):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>')

    def series(self, kind, share):
        points = [(self.x(r["endpoints"]), self.y(share(r))) for r in self.results]
        self.parts.append(f'<polyline class="{kind}" points="' + " ".join(f"{x:.1f},{y:.1f}" for x, y in points) + '"/>')
        self.parts += [f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points]

    def axes(self):
        for n in range(6):
            y = self.y(n / 5)
            self.line(LEFT, y, WIDTH - RIGHT, y, "grid")
            self.text(LEFT - 8, y + 4, f"{self.most_y * n / 5:g}", "end")
            self.text(WIDTH - RIGHT + 8, y + 4, f"{n * 20} %", "start")
        for r in self.results:
            self.text(self.x(r["endpoints"]), HEIGHT - BOTTOM + 18, str(r["endpoints"]))
        self.line(LEFT, self.y(0), WIDTH - RIGHT, self.y(0), "axis")
        self.text(WIDTH / 2, HEIGHT - BOTTOM + 38, "endpoints")


def svg(where, results, sentence):
    plot = Plot(results)
    plot.text(LEFT, 20, f"Escrows a minute on {where['cores']} cores, {where['cpu']}", "start", "title")
    for place, (kind, name) in enumerate((("rate", "escrows a minute (left)"), ("ends", "endpoints busy (right)"), ("cpu", "CPU busy (right)"))):
        x = LEFT + place * 210
        plot.parts.append(f'<rect class="{kind} legend" x="{x}" y="32" width="12" height="12"/>')
        plot.text(x + 18, 43, name, "start")
    plot.axes()
    plot.series("rate", lambda r: r["per_minute"] / plot.most_y)
    plot.series("ends", lambda r: r["endpoints_busy"])
    plot.series("cpu", lambda r: min(1.0, r["cpu_busy"]))
    for place, part in enumerate(reversed(textwrap.wrap(sentence, 96))):
        plot.text(LEFT, HEIGHT - 8 - 16 * place, part, "start")
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">'
            f"<style>{STYLE}</style>\n" + "\n".join(plot.parts) + "\n</svg>\n")
