// SPDX-License-Identifier: Apache-2.0

/**
 * Arguments of `nsenter` with which a shell script runs on mounts of its own, which go with its processes; arguments follow as $0, $1 …
 * root: an empty folder. Runtimes want a root that is a mount point, and look into containers from the root of the mount
 * namespace; in a chroot neither is so. Entering the own namespace again leaves the chroot, and its root is bound to the
 * folder and put in place of the old one.
 */
export function onOwnMounts(root: string, script: string, args: readonly string[], also: readonly string[] = []) {
  const pivot = `mount --make-rprivate / && pivot_root . . && umount -l . && cd / && ${script}`;
  const start = `root=$0; { mount --make-rprivate / 2>/dev/null || true; } && mount --rbind / "$root" &&
    exec nsenter --mount=/proc/self/ns/mnt --wd="$root" sh -c '${pivot}' "$@"`;
  return ['unshare', '--mount', '--propagation', 'unchanged', ...also, 'sh', '-c', start, root, ...args];
}
