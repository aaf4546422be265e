#!/bin/sh
# Becomes the ssh server of a look-alike robot; runs as root in user, mount and process namespaces of its own.
# Arguments: the image's folder, a working folder, the port, the size of /var, a file of public keys, and the
# rule by which the kernel starts the image's programs in an emulator.
set -eu
image=$1 work=$2 port=$3 size=$4 keys=$5 rule=$6
root=$work/root

mkdir -p "$root"
mount --make-rprivate /
mount --bind "$image" "$root"
mount -o remount,bind,ro "$root"
mount -t tmpfs -o "size=$size,mode=755" var "$root/var"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
mount -t tmpfs -o mode=755 run "$root/run"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null zero full random urandom tty; do
    : > "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"
# Terminals of its own: those of this machine belong to users that it does not know.
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t proc proc "$root/proc"

# Since Linux 6.7 each user namespace can have emulators of its own. Before, one known to the whole machine has to do.
binfmt=$root/proc/sys/fs/binfmt_misc
if mount -t binfmt_misc binfmt "$binfmt" 2> /dev/null; then
    printf '%s' "$rule" > "$binfmt/register"
fi

# As on the robot, the home of root and the keys of the server are on /var.
mkdir -p "$root/var/home/.ssh" "$root/var/data/boot.d" "$root/var/lib/dropbear"
chmod 700 "$root/var/home" "$root/var/home/.ssh"
mount --bind "$root/var/home" "$root/root"
mount --bind "$root/var/data" "$root/data"
cp "$keys" "$root/root/.ssh/authorized_keys"
chmod 600 "$root/root/.ssh/authorized_keys"

cd "$root"
chroot . /usr/bin/dropbearkey -t ed25519 -f /var/lib/dropbear/key 2> /dev/null > "$work/host-key.new"
mv "$work/host-key.new" "$work/host-key"
exec env -i PATH="$PATH" HOME=/root chroot . /usr/sbin/dropbear -F -E -s -j -k -r /var/lib/dropbear/key -P /run/dropbear.pid -p "127.0.0.1:$port"
