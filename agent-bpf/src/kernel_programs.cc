// SPDX-License-Identifier: Apache-2.0
#include "kernel_programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>

#include <bit>
#include <cstring>

#include "fd.h"
#include "kernel_complaints.h"
#include "probe.h"

namespace cellwall {

std::vector<bpf_map*> KernelPrograms::pinned_maps() const {
  auto& maps = skeleton_->maps;
  return {maps.cw_events,     maps.cw_counters,      maps.cw_reader,    maps.cw_slots,
          maps.cw_overflow,   maps.cw_peers,         maps.cw_policy,    maps.cw_subjects,
          maps.cw_rule_peers, maps.cw_rule_ports,    maps.cw_addresses, maps.cw_rule_identities,
          maps.cw_rule_names, maps.cw_rule_patterns, maps.cw_learned,   maps.cw_startup_allows,
          maps.cw_results,    maps.cw_learners,      maps.cw_resolvers, maps.cw_streams};
}

std::vector<bpf_program*> KernelPrograms::cgroup_programs() const {
  auto& programs = skeleton_->progs;
  std::vector<bpf_program*> all = {programs.cw_connect4,    programs.cw_connect6, programs.cw_sendmsg4,
                                   programs.cw_sendmsg6,    programs.cw_recvmsg4, programs.cw_recvmsg6,
                                   programs.cw_sock_release};
  if (guards_refused_.empty())
    all.insert(all.end(), {programs.cw_sock_create, programs.cw_bind4, programs.cw_bind6,
                           programs.cw_post_bind4, programs.cw_post_bind6});
  return all;
}

// Those which observation can do without.
std::vector<bpf_program*> KernelPrograms::guard_programs() const {
  auto& programs = skeleton_->progs;
  return {programs.cw_guard_ingress, programs.cw_guard_egress, programs.cw_guard_option,
          programs.cw_sock_create,   programs.cw_bind4,        programs.cw_bind6,
          programs.cw_post_bind4,    programs.cw_post_bind6,   programs.cw_refused_flows};
}

Result<void> KernelPrograms::adopt_maps() {
  size_t found = 0;
  for (bpf_map* map : pinned_maps()) {
    bool adopted = false;
    if (auto ok = pins_.adopt_map(map, &adopted); !ok) return ok;
    found += adopted;
  }
  if (found != 0 && found != pinned_maps().size())
    return fail("some of the pinned maps are missing in " + options_.pin_directory +
                "; run 'cellwall-agent uninstall' with this --pin-directory first");
  adopted_ = found != 0;
  return {};
}

void KernelPrograms::configure(const AttachPoint& point) {
  const KernelFeatures features = probe_features();
  auto& maps = skeleton_->maps;
  if (!adopted_) {
    bpf_map__set_max_entries(maps.cw_events, std::bit_ceil(options_.ring_bytes));
    bpf_map__set_max_entries(maps.cw_slots, std::bit_ceil(options_.flow_slots));
    bpf_map__set_max_entries(maps.cw_peers, options_.udp_peers);
    bpf_map__set_max_entries(maps.cw_results, options_.policy_results);
    bpf_map__set_max_entries(maps.cw_learned, options_.learned_addresses);
    bpf_map__set_max_entries(maps.cw_learners, options_.policy_containers);
  }
  skeleton_->rodata->cw_attach_id = point.id;
  skeleton_->rodata->cw_attach_level = point.level;
  skeleton_->rodata->cw_plain_loads = features.plain_loads && !options_.force_fallback;
  skeleton_->rodata->cw_slot_mask = bpf_map__max_entries(maps.cw_slots) - 1;
  skeleton_->rodata->cw_udp_idle_ns =
      static_cast<uint64_t>(std::chrono::nanoseconds(options_.udp_idle).count());
  skeleton_->rodata->cw_wake_bytes = bpf_map__max_entries(maps.cw_events) / 4;
  if (!features.socket_options) bpf_program__set_autoload(skeleton_->progs.cw_guard_option, false);
  if (!features.cgroup_tracepoints) {
    bpf_program__set_autoload(skeleton_->progs.cw_cgroup_mkdir, false);
    bpf_program__set_autoload(skeleton_->progs.cw_cgroup_rmdir, false);
    bpf_program__set_autoload(skeleton_->progs.cw_cgroup_forget, false);
  }
}

int KernelPrograms::try_load(const AttachPoint& point, bool guards, Result<void>* adopted) {
  collect_complaints();
  skeleton_.reset(cellwall_bpf__open());
  if (!skeleton_) return -errno;
  *adopted = adopt_maps();
  if (!*adopted) return 0;
  configure(point);
  if (!guards) {
    for (bpf_program* program : guard_programs()) bpf_program__set_autoload(program, false);
  }
  return cellwall_bpf__load(skeleton_.get());
}

Result<void> KernelPrograms::load(const AttachPoint& point) {
  Result<void> adopted;
  int error = try_load(point, !options_.without_guards, &adopted);
  if (options_.without_guards) guards_refused_ = "switched off";
  if (!adopted) return adopted;
  if (error != 0 && error != -EPERM && !options_.without_guards) {
    guards_refused_ = "the kernel refuses the programs" + last_complaints();
    error = try_load(point, false, &adopted);
  }
  if (error == -EPERM)
    return fail(
        "load the kernel programs: not permitted; the agent needs root, or CAP_BPF, CAP_PERFMON and "
        "CAP_NET_ADMIN "
        "(and CAP_SYS_RESOURCE before Linux 5.11)");
  if (error != 0)
    return fail("load the kernel programs: " + std::string(std::strerror(-error)) + last_complaints() +
                "; 'cellwall-agent check' shows what this kernel lacks");
  // Until it is known whom to guard: what an earlier agent left must not be interrupted.
  skeleton_->bss->cw_guarding = adopted_;
  return {};
}

Result<void> KernelPrograms::pin_maps() {
  for (bpf_map* map : pinned_maps()) {
    if (auto ok = pins_.pin_map(map); !ok) return ok;
  }
  return {};
}

Result<void> KernelPrograms::attach(const AttachPoint& point) {
  Fd cgroup(::open(options_.cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!cgroup) return fail_errno("open the cgroup " + options_.cgroup);
  const bool fresh = !adopted_;
  Result<void> done = pin_maps();
  for (bpf_program* program : cgroup_programs()) {
    if (done) done = pins_.attach(program, cgroup.get(), point.id);
  }
  // Half an installation enforces half a policy: leave none where there was none.
  if (!done && fresh) (void)remove_pins(options_.pin_directory);
  return done;
}

}  // namespace cellwall
