#!/usr/bin/env python3
"""Links of a folder of HTML pages that lead nowhere inside it: files that are not there, and places that no page has. Ends with 1 where there are any."""

import html.parser
import pathlib
import sys
import urllib.parse


class Page(html.parser.HTMLParser):
    """The links and the places of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.places = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.links.append(value)
            elif name in ("id", "name") and value:
                self.places.add(value)


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in root.rglob("*.html")}
    dead, links = [], 0
    for path, page in sorted(pages.items()):
        # All pages in one, a frame without places, and a page that is shown at any address.
        if path.name in ("print.html", "toc.html", "404.html"):
            continue
        for link in page.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc or link.startswith("#!"):
                continue
            links += 1
            to = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            if to.is_dir():
                to = to / "index.html"
            place = urllib.parse.unquote(parts.fragment)
            if not to.is_file() or not to.is_relative_to(root):
                dead.append(f"{path.relative_to(root)}: {link}: there is no such page")
            elif place and to in pages and place not in pages[to].places:
                dead.append(f"{path.relative_to(root)}: {link}: that page has no such place")
    if links < 100:
        dead.append(f"only {links} links: this is not the whole site")
    print("\n".join(dead) or f"{len(pages)} pages, {links} links inside the site, all lead somewhere")
    sys.exit(1 if dead else 0)


main()
