# What deb.sh and rpm.sh put where; they source it from the repository's folder behind package-env.sh.
# shellcheck shell=bash

# Fills $root; the folders of units and of zsh's completions differ between distributions.
package_files() {
  local units=$1 zsh=$2 page pages
  put 755 "$HOPWATCH_BINARY" usr/bin/hopwatch
  put 644 packaging/systemd/hopwatch.service "$units/hopwatch.service"
  put 644 packaging/systemd/hopwatch-responder.service "$units/hopwatch-responder.service"
  put 640 config/hopwatch.yaml etc/hopwatch/hopwatch.yaml
  mkdir -p "$root/etc/hopwatch/conf.d"
  for page in config/examples/*.yaml; do put 644 "$page" "usr/share/doc/hopwatch/examples/$(basename "$page")"; done
  put 644 config/prometheus/hopwatch.rules.yaml usr/share/doc/hopwatch/examples/prometheus/hopwatch.rules.yaml
  put 644 config/grafana/hopwatch.json usr/share/doc/hopwatch/examples/grafana/hopwatch.json
  for page in README.md SECURITY.md CHANGELOG.md; do put 644 "$page" "usr/share/doc/hopwatch/$page"; done
  (cd docs && find . -name '*.md' -o -name '*.json') | while read -r page; do put 644 "docs/$page" "usr/share/doc/hopwatch/docs/$page"; done
  put 644 LICENSE-MIT usr/share/doc/hopwatch/copyright
  cat LICENSE-APACHE >>"$root/usr/share/doc/hopwatch/copyright"

  # libpcap is part of the program then, so its licence is packed.
  if [ -n "$static_libpcap" ]; then put 644 "$libpcap_licence" usr/share/doc/hopwatch/libpcap-copyright; fi

  pages=$root/usr/share/man/man1
  mkdir -p "$pages"
  "$HOPWATCH_BINARY" man -o "$pages"
  mkdir -p "$root/usr/share/man/man5"
  mv "$pages"/*.5 "$root/usr/share/man/man5/"
  find "$root/usr/share/man" -type f -exec gzip -9n {} +
  completion bash usr/share/bash-completion/completions/hopwatch
  completion zsh "$zsh/_hopwatch"
  completion fish usr/share/fish/vendor_completions.d/hopwatch.fish
}

completion() {
  mkdir -p "$(dirname "$root/$2")"
  "$HOPWATCH_BINARY" completions "$1" >"$root/$2"
}
