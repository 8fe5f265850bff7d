// SPDX-License-Identifier: Apache-2.0
#include "kernel_cgroup.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

namespace cellwall {
namespace {

// The root of the hierarchy has kernfs id 1 (fs/kernfs/dir.c, kernfs_create_root).
constexpr uint64_t kRootId = 1;
constexpr int kDeepest = 64;

bool on_cgroup2(const std::string& path) {
  struct statfs fs;
  return statfs(path.c_str(), &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

}  // namespace

Result<AttachPoint> find_attach_point(const std::string& directory) {
  const std::string where = "attach point " + directory;
  struct stat info;
  if (directory.empty()) return fail("no attach point: name the cgroup above the containers with --cgroup");
  if (stat(directory.c_str(), &info) != 0) return fail_errno(where);
  if (!S_ISDIR(info.st_mode))
    return fail(where + " is not a directory; --cgroup takes a cgroup v2 directory");
  if (!on_cgroup2(directory))
    return fail(where +
                " is not on a cgroup v2 file system; 'grep cgroup2 /proc/self/mounts' shows where it is");
  if (info.st_ino == kRootId)
    return fail(
        where +
        " is the root cgroup, where a rule could cut off the whole machine; name the cgroup above the "
        "containers, such as kubepods.slice or system.slice");
  AttachPoint point{.id = info.st_ino, .level = 0};
  std::string path = directory;
  while (info.st_ino != kRootId) {
    path += "/..";
    point.level++;
    if (point.level > kDeepest || !on_cgroup2(path) || stat(path.c_str(), &info) != 0)
      return fail(
          where +
          ": the root of the cgroup v2 hierarchy is not above it; mount the host's /sys/fs/cgroup, not the "
          "one of a container");
  }
  return point;
}

}  // namespace cellwall
