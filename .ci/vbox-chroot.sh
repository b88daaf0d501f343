#!/bin/sh
# Runs a command with a real VBoxManage on its PATH, on a machine that cannot load VirtualBox's kernel modules.
#
#   vbox-chroot.sh prepare                        build the chroot if it is missing, print its path
#   vbox-chroot.sh run [-w FOLDER]... COMMAND...  run COMMAND; each FOLDER is seen by VBoxManage at the same path
#   vbox-chroot.sh inside [-w FOLDER]... COMMAND  the same, COMMAND itself inside the chroot
#
# VirtualBox comes from Debian sid (contrib), in a chroot of its own: its libc is newer than Debian 12's. The chroot is
# kept in $LABCTL_BUILD_DIR (default: .build beside this folder). Everything except starting a VM and host-only adapters
# is real there. Needs root, debootstrap, and network access to the Debian mirror for the first build.
#
# COMMAND runs in mount and PID namespaces of its own, with a VirtualBox configuration of its own. When it ends, or when
# this script is interrupted or killed, the kernel ends every process in there (VBoxSVC and VBoxXPCOMIPCD too) and
# drops the mounts: there is nothing to clean up by hand.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=${LABCTL_BUILD_DIR:-$here/../.build}
mkdir -p "$build"
build=$(cd "$build" && pwd)
root=$build/vbox-chroot
LABCTL_BUILD_DIR=$build
export LABCTL_BUILD_DIR

die() {
	echo "vbox-chroot: $*" >&2
	exit 3
}

usage() {
	echo "usage: vbox-chroot.sh prepare | run [-w FOLDER]... COMMAND... | inside [-w FOLDER]... COMMAND..." >&2
	exit 2
}

# mirror prints the first Debian mirror in this machine's apt sources, of either format.
mirror() {
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
		awk '$1 == "URIs:" { print $2 }
		     $1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /^[a-z+]+:\/\//) { print $i; break } }' |
		grep -E '/debian/?$' | head -n 1
}

# make_chroot runs inside the namespaces of prepare. It works in a folder of another name, so that a killed build is not
# taken for a finished one.
make_chroot() {
	from=$(mirror)
	[ -n "$from" ] || die "found no Debian mirror in /etc/apt; add one to the apt sources"
	rm -rf --one-file-system "$root.part"
	debootstrap --variant=minbase sid "$root.part" "$from"
	echo "deb $from sid main contrib" >"$root.part/etc/apt/sources.list"
	# No daemon is started in the chroot, and no kernel module is built for it.
	printf '#!/bin/sh\nexit 101\n' >"$root.part/usr/sbin/policy-rc.d"
	chmod 755 "$root.part/usr/sbin/policy-rc.d"
	for d in proc dev sys; do mount --rbind "/$d" "$root.part/$d"; done
	# A mirror may be a frozen snapshot, whose Release file has expired; signatures are checked all the same.
	chroot "$root.part" env DEBIAN_FRONTEND=noninteractive LC_ALL=C sh -ec '
		apt-get -q -o Acquire::Check-Valid-Until=false update
		apt-get -q -y --no-install-recommends install virtualbox
		apt-get clean
		test -x /usr/lib/virtualbox/VBoxManage'
	for d in proc dev sys; do umount -R -l "$root.part/$d"; done
	mv "$root.part" "$root"
}

prepare() {
	[ "$(id -u)" = 0 ] || die "needs root: chroot and mount"
	[ -x "$root/usr/lib/virtualbox/VBoxManage" ] && return
	command -v debootstrap >/dev/null || die "debootstrap is missing: apt-get install debootstrap"
	(
		flock 9 # two runs build it once
		[ -x "$root/usr/lib/virtualbox/VBoxManage" ] && exit 0
		echo "vbox-chroot: building $root (about a minute); log: $build/vbox-chroot.log" >&2
		isolated _make >"$build/vbox-chroot.log" 2>&1 9>&- ||
			{ tail -n 20 "$build/vbox-chroot.log" >&2; exit 3; }
	) 9>"$build/vbox-chroot.lock"
}

# enter runs inside the namespaces of run: it binds what VBoxManage must see, then becomes the command.
enter() {
	where=$1
	shift
	for d in proc dev sys; do mount --rbind "/$d" "$root/$d"; done
	mount -t tmpfs -o mode=1777 labctl "$root/tmp" # VirtualBox's sockets live in /tmp: nobody else's
	while [ "$1" = -w ]; do
		mkdir -p "$2"
		folder=$(cd "$2" && pwd)
		mkdir -p "$root$folder"
		mount --rbind "$folder" "$root$folder"
		shift 2
	done
	own=$(mktemp -d "$root/tmp/vbox.XXXXXX")
	VBOX_USER_HOME=${own#"$root"}
	VBOX_IPC_SOCKETID=labctl-${own##*.}
	LABCTL_VBOX_ROOT=$root
	PATH=$own/bin:$PATH
	export VBOX_USER_HOME VBOX_IPC_SOCKETID LABCTL_VBOX_ROOT PATH
	# The wrapper that makes the chroot's VBoxManage callable from outside. Debian's own wrapper, /usr/bin/VBoxManage,
	# is kept in between: its WARNING lines on standard output are part of what labctl has to cope with.
	mkdir "$own/bin"
	printf '#!/bin/sh\nHOME=/root exec chroot "%s" /usr/bin/VBoxManage "$@"\n' "$root" >"$own/bin/VBoxManage"
	chmod 755 "$own/bin/VBoxManage"
	[ "$where" = run ] || set -- env HOME=/root chroot "$root" "$@"
	# This shell stays: it is PID 1 in here, so it reaps what daemons leave, and the kernel kills the rest when it exits.
	status=0
	env --default-signal=INT,QUIT "$@" || status=$?
	exit $status
}

# has_command says whether a command follows the folders.
has_command() {
	while [ "${1:-}" = -w ]; do
		[ $# -ge 2 ] || return 1
		shift 2
	done
	[ $# -gt 0 ]
}

# isolated re-runs this script with the given arguments in namespaces of its own, and takes them down when it is told
# to stop. setpriv does the same where this shell is killed outright.
isolated() {
	exec 3<&0
	setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc \
		sh "$here/vbox-chroot.sh" "$@" <&3 3<&- &
	child=$!
	for s in HUP:129 INT:130 TERM:143; do
		trap "kill -KILL $child; wait $child || :; exit ${s#*:}" "${s%:*}"
	done
	status=0
	wait $child || status=$?
	return $status
}

case ${1:-} in
prepare)
	prepare
	echo "$root"
	;;
run | inside)
	where=$1
	shift
	has_command "$@" || usage
	prepare
	isolated _enter "$where" "$@"
	;;
_make) make_chroot ;;
_enter)
	shift
	enter "$@"
	;;
*) usage ;;
esac
