#!/bin/sh
# Becomes a systemd that runs programs of this machine; runs as root in namespaces of its own.
# Arguments: a folder that it may write to, which outlasts it and has units in `units`, and the unit to start.
set -eu
work=$1 unit=$2
root=$work.root

mkdir -p "$root"
mount --make-rprivate /
mount --bind / "$root"
mount -o remount,bind,ro "$root"
for folder in dev etc run tmp var; do
    mount -t tmpfs -o mode=755 "$folder" "$root/$folder"
done
mkdir -p "$root$work" "$root/var/log"
mount --bind "$work" "$root$work"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 cgroup "$root/sys/fs/cgroup"
# Robots have Linux 4.14, and its first kind of control groups.
for group in systemd memory; do
    mkdir "$root/sys/fs/cgroup/$group"
done
mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
mount -t cgroup -o memory cgroup "$root/sys/fs/cgroup/memory"
for device in null zero full random urandom tty; do
    : > "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
: > "$root/etc/machine-id"
echo root:x:0:0:root:/root:/bin/sh > "$root/etc/passwd"
echo root:x:0: > "$root/etc/group"
mkdir -p "$root/etc/systemd/system"
cp "$work"/units/* "$root/etc/systemd/system/"

cd "$root"
mkdir run/before
pivot_root . run/before
umount -l run/before
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=test /usr/lib/systemd/systemd --unit="$unit" --show-status=0
