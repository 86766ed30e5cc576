#!/bin/sh
# Run once when the image is made: $1 is the root folder of the new system.
set -eu
root=$1

# Nothing but what is asked for may write to the disk.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
  fstrim.timer logrotate.timer man-db.timer systemd-tmpfiles-clean.timer systemd-networkd-wait-online.service \
  sysstat-collect.timer sysstat-summary.timer systemd-pstore.service; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

printf '/dev/vda / ext4 errors=remount-ro 0 0\n' >"$root/etc/fstab"
mkdir -p "$root/etc/systemd/network"
printf '[Match]\nName=eth0\n\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' \
  >"$root/etc/systemd/network/10-eth0.network"
chroot "$root" systemctl --quiet enable systemd-networkd.service ssh.service
: >"$root/etc/resolv.conf"

mkdir -p "$root/etc/ssh/sshd_config.d"
printf 'PermitRootLogin prohibit-password\nPasswordAuthentication yes\nUseDNS no\n' >"$root/etc/ssh/sshd_config.d/site.conf"
chroot "$root" useradd --create-home --shell /bin/bash --groups sudo analyst
install -d -m 0700 "$root/root/.ssh"
install -d -m 0700 -o "$(stat -c %u "$root/home/analyst")" -g "$(stat -c %g "$root/home/analyst")" "$root/home/analyst/.ssh"

# Only what the virtual machine needs: a small initrd is unpacked quickly by an emulated CPU.
printf 'MODULES=list\n' >"$root/etc/initramfs-tools/conf.d/modules"
printf 'virtio_pci\nvirtio_blk\next4\ncrc32c_generic\ncrc32c_intel\n' >>"$root/etc/initramfs-tools/modules"
chroot "$root" update-initramfs -u -k all

# Each machine gets its own of these.
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/hostname" "$root/etc/hosts" "$root/etc/machine-id" "$root/var/lib/dbus/machine-id"
rm -f "$root"/etc/shadow- "$root"/etc/passwd- "$root"/etc/group- "$root"/etc/gshadow-
