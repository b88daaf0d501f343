#!/bin/sh
# The end-to-end test: labctl as a user runs it, with the real VBoxManage and machines that really boot. VirtualBox's kernel
# modules are not needed: e2e/front stands before VBoxManage and runs what was configured on QEMU.
#
#   e2e.sh [FLAG]...    flags of the test binary, for example -test.run Story
#
# Needs root on Debian 12; installs what is missing. VirtualBox (see vbox-chroot.sh) and the guests' image (see e2e-guest.sh)
# are built once and kept in $LABCTL_BUILD_DIR (default: .build beside this folder); everything else is in one folder there
# that is removed at the end. The test runs in network, mount and PID namespaces of its own: when it ends, or is interrupted
# or killed, the kernel takes its processes, adapters and mounts with it. LABCTL_E2E_KEEP=1 keeps the folder,
# LABCTL_E2E_FULL=1 adds the bad conditions. LABCTL_E2E_K3S=FOLDER, which holds k3s, sha256sum-amd64.txt and archives of images, lets
# a cluster run; without it a stand-in for k3s shows that labctl installs it rightly, and the last line says that no cluster ran.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=${LABCTL_BUILD_DIR:-$here/../.build}
mkdir -p "$build"
build=$(cd "$build" && pwd)
LABCTL_BUILD_DIR=$build
export LABCTL_BUILD_DIR

if [ "${1:-}" = _inside ]; then # in the namespaces
	work=$2
	shift 2
	ip link set lo up
	LABCTL_FRONT_VBOXMANAGE=$(command -v VBoxManage)
	LABCTL_FRONT_STATE=$work/front
	LABCTL_E2E_DIR=$work
	export LABCTL_FRONT_VBOXMANAGE LABCTL_FRONT_STATE LABCTL_E2E_DIR
	(cd "$here/../e2e/front" && "$work/bin/front.test" -test.v -test.failfast)
	exec "$work/bin/e2e.test" -test.v -test.timeout 60m "$@"
fi

step() { echo "e2e: $* ($(date +%T))" >&2; }

[ "$(id -u)" = 0 ] || {
	echo "e2e: needs root: chroot, mount, network namespaces" >&2
	exit 3
}
missing=
want() { command -v "$1" >/dev/null || [ -e "$1" ] || missing="$missing $2"; }
want qemu-system-x86_64 qemu-system-x86
want qemu-img qemu-utils
want debootstrap debootstrap
want ip iproute2
want mkfs.ext4 e2fsprogs
want sfdisk fdisk
want grub-mkimage grub-common
want /usr/lib/grub/i386-pc/boot.img grub-pc-bin
if [ -n "$missing" ]; then
	step "installing$missing"
	apt-get -q update >"$build/e2e-apt.log" 2>&1
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install $missing >>"$build/e2e-apt.log" 2>&1 || {
		tail -n 20 "$build/e2e-apt.log" >&2
		exit 3
	}
fi
step "VirtualBox"
"$here/vbox-chroot.sh" prepare >/dev/null
step "guest image"
image=$("$here/e2e-guest.sh")

# What another run left that was killed is removed; one that is at work holds the lock.
exec 9>"$build/e2e.lock"
flock -n 9 || {
	echo "e2e: another run is at work in $build" >&2
	exit 3
}
rm -rf --one-file-system "$build"/e2e-run.*
work=$(mktemp -d "$build/e2e-run.XXXXXX")
tidy() {
	[ -n "${LABCTL_E2E_KEEP:-}" ] || rm -rf --one-file-system "$work"
}
trap tidy EXIT

step "building labctl, the front and the tests"
cd "$here/.."
make -s build BIN="$work/bin/labctl"
for p in e2e/front:front e2e:e2e; do
	CGO_ENABLED=0 go test -c -trimpath -tags e2e,osusergo,grpcnotrace -o "$work/bin/${p#*:}.test" "./${p%:*}"
done
for p in front standin; do CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$work/bin/$p" "./e2e/$p"; done
LABCTL_E2E_IMAGE=$image
export LABCTL_E2E_IMAGE

step "testing"
# If this shell is killed outright, its child is too, and so on down to the namespaces.
setpriv --pdeathsig KILL unshare --net "$here/vbox-chroot.sh" run -w "$work" "$here/e2e.sh" _inside "$work" "$@" 9>&- &
child=$!
for s in HUP:129 INT:130 TERM:143; do
	trap "kill -TERM $child; wait $child || :; exit ${s#*:}" "${s%:*}"
done
status=0
wait $child || status=$?

# Nothing may be left, whatever became of the test.
run=$(basename "$work")
left=$(
	grep -l -s -a "[e]${run#e}" /proc/[0-9]*/cmdline || : # the brackets keep it from finding itself
	grep "$work" /proc/mounts || :
	ip -br link | grep -e vboxnet -e '^tap' || :
)
if [ -n "$left" ]; then
	echo "e2e: left behind:" >&2
	echo "$left" >&2
	[ $status -ne 0 ] || status=1
fi
if [ $status -ne 0 ]; then
	step "failed, in $(cat "$work/failed" 2>/dev/null || echo 'no chapter of a story')"
elif [ -e "$work/cluster-ran" ]; then
	step "passed, with a k3s cluster"
else
	step "passed; no k3s cluster ran: a stand-in took k3s's place, and the demo, exercises 02 to 13 and faults were not tried"
fi
exit $status
