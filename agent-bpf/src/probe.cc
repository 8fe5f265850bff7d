// SPDX-License-Identifier: Apache-2.0
#include "probe.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>

#include "cgroup_versions.h"
#include "kernel.h"
#include "kernel_cgroup.h"
#include "kernel_cut.h"
#include "kernel_pins.h"
#include "wall_links.h"

namespace cellwall {
namespace {

bool has_capability(int capability) {
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  return data[capability / 32].effective & (1U << (capability % 32));
}

bool may_load() {
  return has_capability(CAP_SYS_ADMIN) ||
         (has_capability(CAP_BPF) && has_capability(CAP_PERFMON) && has_capability(CAP_NET_ADMIN));
}

class List {
 public:
  void add(std::string name, bool present, bool required, std::string consequence) {
    abilities_.push_back({std::move(name), present, present ? "" : std::move(consequence), required});
  }
  std::vector<Ability> take() { return std::move(abilities_); }

 private:
  std::vector<Ability> abilities_;
};

void add_cgroups(List& list) {
  const CgroupVersions versions = inspect_cgroups();
  const std::string unsupported = what_is_unsupported(versions);
  list.add("cgroup v2", versions.v2_mounted, true, unsupported);
  if (versions.v2_mounted) list.add("cgroups v2 of all containers", unsupported.empty(), false, unsupported);
}

void add_options(List& list, const KernelOptions& options) {
  const auto point = find_attach_point(options.cgroup);
  list.add("attach point", point.has_value(), true, point ? "" : point.error().message);
  const bool pins_before = access(options.pin_directory.c_str(), F_OK) == 0;
  const auto pins = Pins::open(options.pin_directory);
  list.add("pin directory", pins.has_value(), true, pins ? "" : pins.error().message);
  if (pins && !pins_before) (void)remove_pins(options.pin_directory);
}

bool has_helper(bpf_prog_type type, bpf_func_id helper) {
  return libbpf_probe_bpf_helper(type, helper, nullptr) == 1;
}

bool has_type(bpf_prog_type type) {
  return libbpf_probe_bpf_prog_type(type, nullptr) == 1;
}

// What judges more than the start of connections. Nothing of it is needed to see them.
void add_guards(List& list, const KernelFeatures& features) {
  list.add(
      "cgroup packet hooks",
      has_type(BPF_PROG_TYPE_CGROUP_SKB) && has_helper(BPF_PROG_TYPE_CGROUP_SKB, BPF_FUNC_sk_storage_get),
      false,
      "packets are not judged: ingress rules do nothing, and connections that are older than a rule go on; "
      "use Linux 5.15 or newer with CONFIG_CGROUP_BPF=y");
  list.add(
      "cgroup socket option hook", has_type(BPF_PROG_TYPE_CGROUP_SOCKOPT), false,
      "options that lead packets elsewhere are refused when they are sent, not when they are set; use Linux "
      "5.15 or newer with CONFIG_CGROUP_BPF=y");
  list.add(
      "state beside sockets in bind hooks",
      has_helper(BPF_PROG_TYPE_CGROUP_SOCK, BPF_FUNC_sk_storage_get) &&
          has_helper(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_sk_storage_get),
      false,
      "guards cannot be loaded, and a container can take the port of another one of its pod; use Linux 5.15 "
      "or newer");
  list.add("cgroup deaths in the kernel", features.cgroup_tracepoints, false,
           "the ports of a container that died stay its own until the agent has seen that");
  list.add("destroying sockets", can_destroy_sockets(), false,
           "connections that a new rule refuses are not reset: their packets are dropped, and both ends wait "
           "until "
           "they give up; use a kernel built with CONFIG_INET_DIAG_DESTROY=y");
}

}  // namespace

KernelFeatures probe_features() {
  const std::unique_ptr<btf, void (*)(btf*)> types(btf__load_vmlinux_btf(), btf__free);
  if (!types) return {};
  const auto has = [&](const char* name, uint32_t kind) {
    return btf__find_by_name_kind(types.get(), name, kind) > 0;
  };
  return {.plain_loads = has("bpf_rdonly_cast", BTF_KIND_FUNC),
          .cgroup_tracepoints = has("btf_trace_cgroup_mkdir", BTF_KIND_TYPEDEF),
          .task_file_iterator = has("bpf_iter_task_file", BTF_KIND_FUNC),
          .socket_options = has_type(BPF_PROG_TYPE_CGROUP_SOCKOPT)};
}

std::vector<Ability> probe_abilities(const KernelOptions& options) {
  const KernelFeatures features = probe_features();
  List list;
  list.add("capabilities", may_load(), true,
           "programs cannot be loaded; run as root, or with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN");
  list.add("kernel type information", access("/sys/kernel/btf/vmlinux", R_OK) == 0, true,
           "programs cannot be fitted to this kernel; use one built with CONFIG_DEBUG_INFO_BTF=y");
  add_cgroups(list);
  add_options(list, options);
  list.add("cgroup connect and sendmsg hooks",
           libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, nullptr) == 1, true,
           "connections are neither seen nor refused; use Linux 5.15 or newer with CONFIG_CGROUP_BPF=y");
  list.add("cgroup socket hooks", libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_CGROUP_SOCK, nullptr) == 1, true,
           "ends of connections are not seen; use Linux 5.15 or newer with CONFIG_CGROUP_BPF=y");
  list.add("ring buffer", libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, nullptr) == 1, true,
           "events cannot leave the kernel; use Linux 5.15 or newer");
  list.add("programs run by system call", libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SYSCALL, nullptr) == 1,
           true, "UDP conversations would never end; use Linux 5.15 or newer");
  list.add("iterator over open files", features.task_file_iterator, true,
           "open connections cannot be listed; use Linux 5.15 or newer");
  list.add("cgroup births and deaths", features.cgroup_tracepoints, false,
           "new containers are found by reading the cgroup tree each 30 s, so their policy starts late");
  list.add(
      "packets of devices", libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SCHED_CLS, nullptr) == 1, false,
      "there is no second wall: packet sockets, tunnels and addresses rewritten inside a pod can go past "
      "a policy where a container has CAP_NET_RAW or CAP_NET_ADMIN; take these from containers under "
      "policy");
  list.add("links to devices", has_device_links(), false,
           "the second wall is put up as filters of the queueing discipline clsact, which whoever else uses "
           "that can remove (Linux 6.6 has links)");
  list.add("plain loads from sockets", features.plain_loads, false,
           "sockets are read through helper calls: each connection costs a little more (Linux 6.2 has plain "
           "loads)");
  add_guards(list, features);
  return list.take();
}

}  // namespace cellwall
