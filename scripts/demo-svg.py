#!/usr/bin/env python3
"""The README's picture: what `make demo` prints, as SVG.

usage: CLICOLOR_FORCE=1 target/demo/hopwatch replay captures/egress-around-proxy --format text | scripts/demo-svg.py > docs/demo.svg
"""
import html
import re
import sys
import textwrap

COLOURS = {"31": "#ff6b6b", "33": "#ffd166", "36": "#6bd5ff"}
WIDTH, LINE, CHAR = 118, 19, 8.0
MOST_LINES = 34


def spans(line):
    """(text, style) pieces of a line with ANSI escapes."""
    style, at = set(), 0
    for escape in re.finditer(r"\x1b\[([0-9;]*)m", line):
        if escape.start() > at:
            yield line[at:escape.start()], frozenset(style)
        at = escape.end()
        codes = escape.group(1).split(";")
        style = set() if codes in (["0"], [""]) else style | set(codes)
    if at < len(line):
        yield line[at:], frozenset(style)


def tspan(text, style):
    fill = next((COLOURS[code] for code in style if code in COLOURS), "#d8dee9")
    extra = ' font-weight="bold"' if "1" in style else ""
    extra += ' opacity="0.55"' if "2" in style else ""
    return f'<tspan fill="{fill}"{extra} xml:space="preserve">{html.escape(text)}</tspan>'


def main():
    rows = []
    for line in sys.stdin.read().splitlines()[:MOST_LINES]:
        pieces, row, used = list(spans(line)), "", 0
        for text, style in pieces:
            while text:
                part, text = text[: WIDTH - used], text[WIDTH - used:]
                row, used = row + tspan(part, style), used + len(part)
                if text:
                    rows.append(row)
                    row, used = tspan(" " * 14, frozenset()), 14
        rows.append(row)
    height, width = LINE * (len(rows) + 2), int(CHAR * (WIDTH + 4))
    print(textwrap.dedent(f'''\
        <svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"
             font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="13">
        <rect width="100%" height="100%" rx="8" fill="#1d2129"/>'''))
    for number, row in enumerate(rows):
        print(f'<text x="16" y="{LINE * (number + 1) + 8}">{row}</text>')
    print("</svg>")


main()
