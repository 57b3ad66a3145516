#!/bin/sh
# Process 1 of a machine of the test cluster (machine.py). Its namespaces are new; it makes private what a machine of its own
# would have to itself, says so, and lives until its input closes: when whoever started it ends, however it ends, the kernel
# ends everything that runs in here and drops every mount.
#
#   machine.sh STATE NAME NETWORK TREE...      NETWORK is own or shared; TREE is mountpoint=options, one for each cgroup tree; no options: version 2
set -eu

state=$1 name=$2 network=$3
shift 3

mount -t proc proc /proc
if [ "$network" = own ]; then mount -t sysfs sysfs /sys; fi # it shows the network of whoever mounts it
case "$1" in
*=) mount -t cgroup2 cgroup2 /sys/fs/cgroup ;;
*)
    mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
    for tree in "$@"; do
        folder=/sys/fs/cgroup/$(basename "${tree%%=*}")
        mkdir "$folder"
        mount -t cgroup -o "${tree#*=}" cgroup "$folder"
    done
    ;;
esac
mount -t tmpfs -o mode=755 run /run
mkdir /run/lock
for folder in /var/lib /var/log /opt; do
    mkdir -p "$state$folder"
    mount --bind "$state$folder" "$folder"
done
if [ -d "$state/etc" ]; then # a machine that something is installed on
    mkdir -p "$state/etc-work"
    mount -t overlay -o "lowerdir=/etc,upperdir=$state/etc,workdir=$state/etc-work" overlay /etc
fi
tr -d '\n' </proc/sys/kernel/random/uuid >/run/boot_id # each boot its own, as on a machine
mount --bind /run/boot_id /proc/sys/kernel/random/boot_id
hostname "$name"
echo ready
exec >/dev/null
cat >/dev/null || true
exit 0
