#!/bin/sh
# What a boot loader and an initrd do for a node of ground.py: its root, its kernel file systems, then systemd as process 1.
# Runs as process 1 of new namespaces (processes, mounts, name, cgroups); the network is the caller's.
#
#   boot.sh ROOT NAME DATA TREE...      DATA becomes /var/lib/rancher; TREE is mountpoint=options of one cgroup tree, as in tests/cluster
#   MODEL, MEMORY_KB                    what the device tree and /proc/meminfo tell
#
# Kernel settings outside the network are the whole machine's: a node gets private copies of those our roles write.
set -eu

root=$1 name=$2 data=$3
shift 3
settings='fs/inotify/max_user_instances fs/inotify/max_user_watches fs/file-max kernel/panic kernel/panic_on_oops kernel/pid_max
kernel/keys/root_maxbytes kernel/keys/root_maxkeys kernel/kptr_restrict kernel/dmesg_restrict kernel/sysrq kernel/printk
vm/dirty_background_bytes vm/dirty_bytes vm/dirty_expire_centisecs vm/dirty_writeback_centisecs vm/max_map_count vm/min_free_kbytes
vm/overcommit_memory vm/page-cluster vm/panic_on_oom vm/swappiness vm/vfs_cache_pressure vm/watermark_boost_factor
vm/watermark_scale_factor'

mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs -o mode=755 firmware "$root/sys/firmware"
mkdir -p "$root/sys/firmware/devicetree/base"
printf '%s\0' "$MODEL" >"$root/sys/firmware/devicetree/base/model"
case "$1" in
*=) mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" ;;
*)
    mount -t tmpfs -o mode=755 cgroup "$root/sys/fs/cgroup"
    for tree in "$@"; do
        folder=$root/sys/fs/cgroup/$(basename "${tree%%=*}")
        mkdir "$folder"
        case "$tree" in
        *=) mount -t cgroup2 cgroup2 "$folder" ;;
        *) mount -t cgroup -o "${tree#*=}" cgroup "$folder" ;;
        esac
    done
    ;;
esac

mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null zero full random urandom tty kmsg; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/.node"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs shm "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"
mount -t tmpfs -o mode=755 run "$root/run"
mount -t tmpfs tmp "$root/tmp"

own() { # FILE: the node's own copy of a file of the kernel's, with what comes on standard input
    copy=$root/dev/.node/$(echo "$1" | tr / _)
    cat >"$copy"
    mount --bind "$copy" "$root$1"
}
own /proc/sys/kernel/random/boot_id </proc/sys/kernel/random/uuid # each boot its own: ansible.builtin.reboot compares them
for setting in $settings; do
    # shellcheck disable=SC2094 # one is the kernel's file, the other its name in the node
    if [ -e "/proc/sys/$setting" ]; then own "/proc/sys/$setting" <"/proc/sys/$setting"; fi
done
if [ -n "$MEMORY_KB" ]; then
    awk -v kb="$MEMORY_KB" '/^MemTotal:/ { $0 = "MemTotal:       " kb " kB" } { print }' /proc/meminfo >/dev/shm/.meminfo.$$
    own /proc/meminfo </dev/shm/.meminfo.$$
    rm /dev/shm/.meminfo.$$
fi

# containerd's layers are overlays, which cannot lie in another overlay
mkdir -p "$data" "$root/var/lib/rancher"
mount --bind "$data" "$root/var/lib/rancher"
hostname "$name"
mkdir -p "$root/.old"
cd "$root"
pivot_root . .old
exec chroot . /bin/sh -c 'umount -l /.old; rmdir /.old; exec env -i container=pinode PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init'
