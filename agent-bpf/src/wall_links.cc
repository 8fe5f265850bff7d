// SPDX-License-Identifier: Apache-2.0
#include "wall_links.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <string_view>

#include "directories.h"
#include "in_namespace.h"

namespace cellwall {
namespace {

// Linux 6.6 (e420bed02507); the headers of Debian 12 are older.
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr uint32_t kBefore = 1 << 3;  // BPF_F_BEFORE, of nothing: the first
struct TcxLinkInfo {
  bpf_link_info head;  // type, id and program; what follows is a union that begins at its raw_tracepoint
  uint32_t room[16];
};
constexpr size_t kTcxDeviceOffset = offsetof(bpf_link_info, raw_tracepoint);

constexpr std::string_view kLinkPin = "link_wall_";
constexpr std::string_view kFilterPin = "filter_wall_";
constexpr std::string_view kProgramName = "cw_wall_packet";
constexpr uint32_t kHandle = 0xce11;
constexpr uint32_t kPriority = 1;  // before what others attach

std::string name(std::string_view prefix, uint32_t device) {
  return std::string(prefix) + std::to_string(device);
}

// The device of a link; 0: it is gone.
uint32_t device_of_link(int link) {
  TcxLinkInfo info = {};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(link, &info, &size) != 0) return 0;
  uint32_t device = 0;
  std::memcpy(&device, reinterpret_cast<const char*>(&info) + kTcxDeviceOffset, sizeof(device));
  return device;
}

bool is_ours(uint32_t program_id) {
  const Fd program(bpf_prog_get_fd_by_id(program_id));
  bpf_prog_info info = {};
  uint32_t size = sizeof(info);
  return program && bpf_obj_get_info_by_fd(program.get(), &info, &size) == 0 && info.name == kProgramName;
}

struct Filter {
  explicit Filter(uint32_t device) {
    hook.sz = sizeof(hook);
    options.sz = sizeof(options);
    hook.ifindex = static_cast<int>(device);
    hook.attach_point = BPF_TC_INGRESS;
    options.handle = kHandle;
    options.priority = kPriority;
  }
  // The program there; 0: none.
  uint32_t program() const {
    LIBBPF_OPTS(bpf_tc_opts, asked, .handle = kHandle, .priority = kPriority);
    return bpf_tc_query(&hook, &asked) == 0 ? asked.prog_id : 0;
  }
  bpf_tc_hook hook = {};
  bpf_tc_opts options = {};
};

Result<void> detach_filter(uint32_t device) {
  Filter filter(device);
  const uint32_t program = filter.program();
  if (program == 0 || !is_ours(program)) return {};
  if (const int error = bpf_tc_detach(&filter.hook, &filter.options); error != 0 && error != -ENOENT)
    return fail_errno("take the second wall off device " + std::to_string(device), -error);
  return {};
}

}  // namespace

bool has_device_links() {
  const bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = -1},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  const Fd program(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "cw_probe", "GPL", code, 2, nullptr));
  constexpr int kNoDevice = 0x7fffffff;
  if (!program) return false;
  const Fd link(bpf_link_create(program.get(), kNoDevice, kTcxIngress, nullptr));
  return errno == ENODEV;  // EINVAL: it does not know this kind of attachment
}

Result<void> WallLinks::attach(uint32_t device) const {
  return in_namespace(node_, "of the node",
                      [&] { return links_ ? attach_link(device) : attach_filter(device); });
}

Result<void> WallLinks::attach_link(uint32_t device) const {
  const std::string file = name(kLinkPin, device);
  if (const Fd link = pins_.get(file); link && device_of_link(link.get()) == device) {
    if (bpf_link_update(link.get(), program_, nullptr) != 0)
      return fail_errno("put the new program into the pinned link " + pins_.path(file));
    return {};
  }
  LIBBPF_OPTS(bpf_link_create_opts, options, .flags = kBefore);
  const Fd link(bpf_link_create(program_, static_cast<int>(device), kTcxIngress, &options));
  if (!link) return fail_errno("attach the second wall to device " + std::to_string(device));
  return pins_.pin_fd(link.get(), file);
}

Result<void> WallLinks::attach_filter(uint32_t device) const {
  Filter filter(device);
  if (const int error = bpf_tc_hook_create(&filter.hook); error != 0 && error != -EEXIST)
    return fail_errno("make the queueing discipline clsact of device " + std::to_string(device), -error);
  if (const uint32_t other = filter.program(); other != 0 && !is_ours(other))
    return fail("attach the second wall to device " + std::to_string(device) +
                ": another program has its place (priority 1, handle 0xce11)");
  if (auto ok = pins_.pin_fd(program_, name(kFilterPin, device)); !ok) return ok;
  filter.options.prog_fd = program_;
  filter.options.flags = BPF_TC_F_REPLACE;
  if (const int error = bpf_tc_attach(&filter.hook, &filter.options); error != 0)
    return fail_errno("attach the second wall to device " + std::to_string(device), -error);
  return {};
}

Result<void> WallLinks::detach(uint32_t device) const {
  const std::string filter = pins_.path(name(kFilterPin, device));
  if (access(filter.c_str(), F_OK) == 0) {
    auto done = in_namespace(node_, "of the node", [&] { return detach_filter(device); });
    if (!done) return done;
    if (unlink(filter.c_str()) != 0) return fail_errno("remove the pin " + filter);
  }
  const std::string link = pins_.path(name(kLinkPin, device));
  if (unlink(link.c_str()) != 0 && errno != ENOENT) return fail_errno("remove the pin " + link);
  return {};
}

std::set<uint32_t> WallLinks::pinned() const {
  std::set<uint32_t> devices;
  for (const auto& entry : entries_of(pins_.path("."))) {
    const std::string file = entry.path().filename();
    for (std::string_view prefix : {kLinkPin, kFilterPin}) {
      uint32_t device = 0;
      if (!file.starts_with(prefix)) continue;
      std::from_chars(file.data() + prefix.size(), file.data() + file.size(), device);
      if (device) devices.insert(device);
    }
  }
  return devices;
}

bool WallLinks::attached(uint32_t device) const {
  if (const Fd link = pins_.get(name(kLinkPin, device)); link && device_of_link(link.get()) == device)
    return true;
  bool found = false;
  (void)in_namespace(node_, "of the node", [&]() -> Result<void> {
    const uint32_t program = Filter(device).program();
    found = program != 0 && is_ours(program);
    return {};
  });
  return found;
}

}  // namespace cellwall
