#!/bin/sh
# Holds the simulated VBoxManage to the real one: builds vbox's conformance test here and runs it where a real VBoxManage
# is at hand (see vbox-chroot.sh). Arguments go to the test binary, for example -test.v. Needs root and Debian.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=${LABCTL_BUILD_DIR:-$here/../.build}
mkdir -p "$build"
build=$(cd "$build" && pwd)

if ! command -v debootstrap >/dev/null; then
	apt-get -q update
	apt-get -q -y --no-install-recommends install debootstrap
fi
# qemu-img makes disk images of every format, and compares what VirtualBox makes of them.
if ! command -v qemu-img >/dev/null; then
	apt-get -q update
	apt-get -q -y --no-install-recommends install qemu-utils
fi
"$here/vbox-chroot.sh" prepare >/dev/null

work=$(mktemp -d "$build/conformance.XXXXXX")
trap 'rm -rf "$work"' EXIT

cd "$here/../vbox"
CGO_ENABLED=0 go test -c -tags conformance -o "$work/vbox.test" .
"$here/vbox-chroot.sh" run -w "$work" sh -c '
	work=$1
	shift
	LABCTL_CONFORMANCE_VBOXMANAGE=$(command -v VBoxManage)
	LABCTL_CONFORMANCE_DIR=$work/lab
	export LABCTL_CONFORMANCE_VBOXMANAGE LABCTL_CONFORMANCE_DIR
	exec "$work/vbox.test" -test.run "^TestConformance" "$@"' sh "$work" "$@" &
child=$!
for s in HUP:129 INT:130 TERM:143; do
	trap "kill -TERM $child; wait $child || :; exit ${s#*:}" "${s%:*}"
done
wait $child
