// SPDX-License-Identifier: Apache-2.0
#include "kernel_pins.h"

#include <bpf/bpf.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <filesystem>

#include "bpf_owners.h"
#include "directories.h"
#include "kernel.h"

namespace cellwall {
namespace {

bool on_bpffs(const std::string& path) {
  struct statfs fs;
  return statfs(path.c_str(), &fs) == 0 && fs.f_type == BPF_FS_MAGIC;
}

std::string link_name(const bpf_program* program) {
  return std::string("link_") + bpf_program__name(program);
}

Result<void> update_link(int link_fd, const bpf_program* program, uint64_t cgroup_id,
                         const std::string& path) {
  bpf_link_info info = {};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(link_fd, &info, &size) != 0) return fail_errno("read the pinned link " + path);
  if (info.cgroup.cgroup_id != cgroup_id)
    return fail("the pinned link " + path +
                " is attached to another cgroup than --cgroup; run 'cellwall-agent uninstall' with this "
                "--pin-directory first, or name another --pin-directory");
  if (bpf_link_update(link_fd, bpf_program__fd(program), nullptr) != 0)
    return fail_errno("put the new program into the pinned link " + path);
  return {};
}

}  // namespace

Result<Pins> Pins::open(const std::string& directory) {
  std::error_code error;
  std::filesystem::path existing = directory;
  while (!existing.empty() && !std::filesystem::exists(existing, error)) existing = existing.parent_path();
  if (!on_bpffs(existing))
    return fail("pin directory " + directory +
                " is not on a bpffs; mount one with 'mount -t bpf bpf /sys/fs/bpf' or name another with "
                "--pin-directory");
  std::filesystem::create_directories(directory, error);
  if (error) return fail("make the pin directory " + directory + ": " + error.message());
  return Pins(directory);
}

Fd Pins::get(const std::string& name) const {
  return Fd(bpf_obj_get(path(name).c_str()));
}

Result<void> Pins::adopt_map(bpf_map* map, bool* adopted) const {
  const std::string name = bpf_map__name(map);
  Fd fd = get(name);
  *adopted = false;
  if (!fd) return {};
  bpf_map_info info = {};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0)
    return fail_errno("read the pinned map " + path(name));
  if (info.type != bpf_map__type(map) || info.key_size != bpf_map__key_size(map) ||
      info.value_size != bpf_map__value_size(map))
    return fail("the pinned map " + path(name) +
                " comes from an incompatible version of the agent; run 'cellwall-agent uninstall' with this "
                "--pin-directory first (enforcement pauses until the new agent has started)");
  if (bpf_map__reuse_fd(map, fd.get()) != 0) return fail_errno("use the pinned map " + path(name));
  *adopted = true;
  return {};
}

Result<void> Pins::pin_map(bpf_map* map) const {
  const std::string file = path(bpf_map__name(map));
  if (access(file.c_str(), F_OK) == 0) return {};
  if (bpf_obj_pin(bpf_map__fd(map), file.c_str()) != 0) return fail_errno("pin the map " + file);
  return {};
}

Result<void> Pins::pin_fd(int fd, const std::string& name) const {
  const std::string file = path(name);
  if (unlink(file.c_str()) != 0 && errno != ENOENT) return fail_errno("replace the pin " + file);
  if (bpf_obj_pin(fd, file.c_str()) != 0) return fail_errno("pin " + file);
  return {};
}

Result<void> Pins::attach(bpf_program* program, int cgroup_fd, uint64_t cgroup_id) const {
  return attach_as(link_name(program), program, cgroup_fd, cgroup_id);
}

Result<void> Pins::attach_as(const std::string& name, bpf_program* program, int cgroup_fd,
                             uint64_t cgroup_id) const {
  if (Fd fd = get(name)) return update_link(fd.get(), program, cgroup_id, path(name));
  const LinkOwner link(bpf_program__attach_cgroup(program, cgroup_fd));
  if (!link) return fail_errno(std::string("attach ") + bpf_program__name(program) + " to the cgroup");
  if (bpf_link__pin(link.get(), path(name).c_str()) != 0) return fail_errno("pin the link " + path(name));
  return {};  // the pin keeps it
}

Result<void> Pins::attach_tracing(bpf_program* program) const {
  const std::string file = path(link_name(program));
  const LinkOwner link(bpf_program__attach(program));
  if (!link) return fail_errno(std::string("attach ") + bpf_program__name(program));
  if (unlink(file.c_str()) != 0 && errno != ENOENT) return fail_errno("replace the pin " + file);
  if (bpf_link__pin(link.get(), file.c_str()) != 0) return fail_errno("pin the link " + file);
  return {};
}

void Pins::remove(const std::string& name) const {
  (void)unlink(path(name).c_str());
}

std::vector<std::string> Pins::find(const std::string& prefix) const {
  std::vector<std::string> found;
  for (const auto& entry : entries_of(directory_)) {
    const std::string name = entry.path().filename();
    if (name.starts_with(prefix)) found.push_back(name.substr(prefix.size()));
  }
  return found;
}

Result<void> remove_pins(const std::string& pin_directory) {
  std::error_code error;
  if (!std::filesystem::exists(pin_directory, error)) return {};
  if (!on_bpffs(pin_directory))
    return fail(pin_directory + " is not on a bpffs: nothing of ours can be pinned there");
  // Links first: no program may look into maps which are going.
  for (const std::string prefix : {"link_", "guard_", ""}) {
    for (const auto& entry : entries_of(pin_directory)) {
      if (!entry.path().filename().string().starts_with(prefix)) continue;
      std::error_code failed;
      std::filesystem::remove(entry.path(), failed);
      if (failed) return fail("remove the pin " + entry.path().string() + ": " + failed.message());
    }
  }
  std::filesystem::remove(pin_directory, error);
  if (error) return fail("remove the pin directory " + pin_directory + ": " + error.message());
  return {};
}

}  // namespace cellwall
