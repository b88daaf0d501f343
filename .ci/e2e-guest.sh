#!/bin/sh
# Builds the disk image that the end-to-end test boots: Debian 12 from Debian's own packages, with what an Ubuntu cloud image
# brings too: systemd, netplan, cloud-init, sshd. Prints the image's path (qcow2); a file SHA256 beside it holds its checksum.
#
# The image is kept in $LABCTL_BUILD_DIR (default: .build beside this folder) under the checksum of this script: it is built
# once, and again when the recipe changes. Needs root, debootstrap, e2fsprogs, qemu-utils and grub-pc-bin, and network access
# to the Debian mirror for the build (some minutes). No loop device is needed.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=${LABCTL_BUILD_DIR:-$here/../.build}
mkdir -p "$build"
build=$(cd "$build" && pwd)
recipe=$(sha256sum "$here/e2e-guest.sh" | cut -c1-16)
images=$build/e2e-guest
image=$images/$recipe/guest.qcow2

die() {
	echo "e2e-guest: $*" >&2
	exit 3
}

# mirror prints the first Debian mirror in this machine's apt sources, of either format.
mirror() {
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
		awk '$1 == "URIs:" { print $2 }
		     $1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /^[a-z+]+:\/\//) { print $i; break } }' |
		grep -E '/debian/?$' | head -n 1
}

packages=linux-image-amd64,busybox-static,cpio,zstd,systemd-sysv,systemd-resolved,dbus,udev,kmod,netbase,\
openssh-server,cloud-init,cloud-guest-utils,netplan.io,iproute2,iputils-ping,iptables,ipvsadm,conntrack,ipset,curl,wget,\
ca-certificates,sudo,locales,apparmor,procps,less

# The system, as a folder.
make_root() {
	from=$(mirror)
	[ -n "$from" ] || die "found no Debian mirror in /etc/apt; add one to the apt sources"
	debootstrap --variant=minbase --exclude=tzdata bookworm "$root" "$from"
	mkdir -p "$root/etc/cloud/cloud.cfg.d"
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
	chmod 755 "$root/usr/sbin/policy-rc.d"
	echo "deb $from bookworm main" >"$root/etc/apt/sources.list"
	echo 'LABEL=root / ext4 errors=remount-ro,noatime 0 0' >"$root/etc/fstab"
	mount --rbind /proc "$root/proc"
	mount --rbind /dev "$root/dev"
	# A mirror may be a frozen snapshot, whose Release file has expired; signatures are checked all the same.
	chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C INITRD=No sh -ec '
		apt-get -q -o Acquire::Check-Valid-Until=false update
		apt-get -q -y --no-install-recommends -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
			install '"$(echo "$packages" | tr , ' ')"'
		apt-get clean
		test -e /vmlinuz'
	make_initrd
	umount -R -l "$root/proc" "$root/dev"

	rm -f "$root/usr/sbin/policy-rc.d" "$root"/etc/ssh/ssh_host_* "$root"/var/lib/apt/lists/*_* "$root/etc/resolv.conf" "$root/etc/hostname"
	ln -s ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
	# Every guest of this image carries the same machine-id, as those of a copied machine do: the seed has to change it.
	echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
	# Guests boot on an emulated processor, where each program that starts counts: cloud-init runs the modules that labctl's seed
	# speaks to, and systemd no unit that no test looks at.
	echo 'policy: enabled' >"$root/etc/cloud/ds-identify.cfg"
	cat >"$root/etc/cloud/cloud.cfg.d/90-labctl.cfg" <<-'CFG'
		datasource_list: [NoCloud]
		cloud_init_modules: [bootcmd, write-files, set_hostname, update_hostname, update_etc_hosts, users-groups, ssh]
		cloud_config_modules: [locale, set-passwords, runcmd]
		cloud_final_modules: [package-update-upgrade-install, scripts-user, final-message]
	CFG
	for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
		systemd-tmpfiles-clean.timer apparmor.service systemd-pstore.service getty@tty1.service getty-static.service ipvsadm.service \
		systemd-binfmt.service proc-sys-fs-binfmt_misc.automount systemd-firstboot.service systemd-machine-id-commit.service \
		systemd-pcrphase.service systemd-pcrphase-sysinit.service systemd-repart.service systemd-sysusers.service \
		systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-random-seed.service systemd-journal-flush.service \
		dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
		sys-fs-fuse-connections.mount modprobe@drm.service cloud-init-hotplugd.socket; do
		ln -sf /dev/null "$root/etc/systemd/system/$unit"
	done
	# cloud-init does without these two, and each of its four programs starts a third faster.
	rm -r "$root/usr/lib/python3/dist-packages/jsonschema" "$root/usr/lib/python3/dist-packages/jinja2"
	for module in kvm_amd kvm_intel powernow_k8 aesni_intel ghash_clmulni_intel crc32_pclmul psmouse pcspkr i2c_piix4 cryptd \
		cfg80211 floppy ata_piix ata_generic serio_raw sg qemu_fw_cfg; do
		echo "blacklist $module"
	done >"$root/etc/modprobe.d/labctl.conf"
	mkdir -p "$root/etc/systemd/journald.conf.d"
	printf '[Journal]\nStorage=volatile\n' >"$root/etc/systemd/journald.conf.d/labctl.conf"
	for unit in systemd-networkd systemd-resolved; do
		chroot "$root" systemctl enable "$unit"
	done
	rm -rf "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/* "$root"/var/cache/apt/*.bin
}

# The initial RAM disk loads the drivers of VirtualBox's SATA controller and of the file system, and goes on. Debian's own does
# more than an emulated processor likes to.
make_initrd() {
	cat >"$root/boot/init" <<-'INIT'
		#!/bin/busybox sh
		for m in /modules/*; do busybox insmod "$m"; done
		busybox mount -t devtmpfs dev /dev
		until [ -b /dev/sda1 ]; do busybox usleep 20000; done
		busybox mount -t ext4 /dev/sda1 /new
		busybox mount -o move /dev /new/dev
		exec busybox switch_root /new /sbin/init
	INIT
	chmod 755 "$root/boot/init"
	chroot "$root" sh -ec '
		kernel=$(basename "$(readlink /vmlinuz)")
		mkdir -p /boot/initrd/bin /boot/initrd/dev /boot/initrd/new /boot/initrd/modules
		cp /bin/busybox /boot/initrd/bin
		mv /boot/init /boot/initrd
		modprobe -S "${kernel#vmlinuz-}" -a --show-depends ahci sd_mod crc32c_generic ext4 | while read -r how file rest; do
			[ "$how" = insmod ] || continue
			name=${file##*/}
			ls /boot/initrd/modules | grep -q -- "-$name\$" || cp "$file" "/boot/initrd/modules/$(ls /boot/initrd/modules | wc -l | sed "s/^.$/0&/")-$name"
		done
		test "$(ls /boot/initrd/modules | wc -l)" -gt 5
		cd /boot/initrd
		find . | cpio --quiet -o -H newc | zstd -q -19 >/boot/initrd.img
		rm -r /boot/initrd
		ln -s boot/initrd.img /initrd.img'
}

# The disk: the boot loader in front, one partition from the first MiB on.
make_disk() {
	size=4095 # MiB; it is mostly empty, and so are the files
	truncate -s ${size}M "$work/root.ext4"
	mkfs.ext4 -q -L root -d "$root" "$work/root.ext4"
	truncate -s $((size + 1))M "$work/disk.raw"
	echo '2048,,L,*' | sfdisk -q "$work/disk.raw"
	# GRUB without a menu: what to boot is part of its core, which follows the first sector.
	cat >"$work/grub.cfg" <<-'CFG'
		serial --unit=0 --speed=115200
		terminal_output serial
		set root=(hd0,msdos1)
		linux /vmlinuz rw console=tty0 console=ttyS0,115200 net.ifnames=1 mitigations=off nokaslr cryptomgr.notests tsc=reliable
		initrd /initrd.img
		boot
	CFG
	grub-mkimage -O i386-pc -o "$work/core.img" -p /boot/grub -c "$work/grub.cfg" biosdisk part_msdos ext2 linux serial terminal normal
	dd if=/usr/lib/grub/i386-pc/boot.img of="$work/disk.raw" bs=440 count=1 conv=notrunc status=none
	dd if="$work/core.img" of="$work/disk.raw" bs=512 seek=1 conv=notrunc status=none
	dd if="$work/root.ext4" of="$work/disk.raw" bs=1M seek=1 conv=notrunc,sparse status=none
	qemu-img convert -f raw -O qcow2 -c "$work/disk.raw" "$work/guest.qcow2"
}

if [ "${1:-}" = _make ]; then # in a mount namespace of its own, so that nothing stays mounted
	work=$2
	root=$work/root
	make_root
	make_disk
	exit
fi

[ "$(id -u)" = 0 ] || die "needs root: debootstrap and mount"
(
	flock 9 # two runs build it once
	[ -e "$image" ] && exit 0
	echo "e2e-guest: building $image (some minutes); log: $build/e2e-guest.log" >&2
	rm -rf --one-file-system "$images"
	mkdir -p "$images/part"
	setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc \
		sh "$here/e2e-guest.sh" _make "$images/part" >"$build/e2e-guest.log" 2>&1 9>&- ||
		{ tail -n 20 "$build/e2e-guest.log" >&2; exit 3; }
	mkdir "$images/$recipe.part"
	(cd "$images/part" && sha256sum guest.qcow2 | cut -d' ' -f1 >"$images/$recipe.part/SHA256" && mv guest.qcow2 "$images/$recipe.part")
	rm -rf --one-file-system "$images/part"
	mv "$images/$recipe.part" "$images/$recipe"
) 9>"$build/e2e-guest.lock"
echo "$image"
