#!/usr/bin/env bash
# Makes target/static-libpcap/libpcap.a and prints its folder: Debian's archive without what captures D-Bus, which would ask for libdbus and libsystemd.
# hopwatch captures on interfaces, and never asks for that.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${CARGO_TARGET_DIR:-$PWD/target}/static-libpcap
archive=$(cc -print-file-name=libpcap.a)
[ -e "$archive" ] || { echo "static-libpcap: there is no libpcap.a: install Debian's libpcap-dev; Fedora and Arch have none" >&2; exit 1; }
mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$archive" "$work/libpcap.a"
if ar t "$work/libpcap.a" | grep -x pcap-dbus.o >/dev/null; then
  ar d "$work/libpcap.a" pcap-dbus.o
  cat >"$work/without-dbus.c" <<'C'
/* No device of D-Bus, found or asked for by name: the signatures of libpcap's pcap-dbus.h. */
struct pcap;
struct pcap_if_list;
int dbus_findalldevs(struct pcap_if_list *list, char *error) { (void)list; (void)error; return 0; }
struct pcap *dbus_create(const char *device, char *error, int *is_ours) { (void)device; (void)error; *is_ours = 0; return 0; }
C
  cc -O2 -fPIC -c -o "$work/without-dbus.o" "$work/without-dbus.c"
  ar qD "$work/libpcap.a" "$work/without-dbus.o"
fi
ranlib -D "$work/libpcap.a"
# Only what changed is linked again.
cmp -s "$work/libpcap.a" "$folder/libpcap.a" || cp "$work/libpcap.a" "$folder/libpcap.a"
echo "$folder"
