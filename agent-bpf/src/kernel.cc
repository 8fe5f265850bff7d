// SPDX-License-Identifier: Apache-2.0
#include "kernel.h"

#include <bpf/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <set>

#include "kernel_cgroup.h"
#include "kernel_guard.h"
#include "kernel_lifecycle.h"
#include "kernel_names.h"
#include "kernel_pins.h"
#include "kernel_policy.h"
#include "kernel_programs.h"
#include "kernel_sockets.h"
#include "probe.h"
#include "test_run.h"
#include "wall.h"

namespace cellwall {
namespace {

class LoadedKernel : public Kernel {
 public:
  LoadedKernel(const KernelOptions& options, const Pins& pins)
      : options_(options), pins_(pins), programs_(options, pins) {}
  ~LoadedKernel() override {
    if (reader_) munmap(reader_, sizeof(uint64_t));
  }

  Result<void> start(const AttachPoint& point);

  bool adopted() const override { return programs_.adopted(); }
  uint32_t ring_id() const override { return ring_id_; }
  int ring_fd() const override { return bpf_map__fd(maps().cw_events); }
  int lifecycle_fd() const override { return lifecycles_ ? lifecycles_->fd() : -1; }
  int captures_fd() const override { return observers_->fd(); }
  RingReader& ring() override { return *ring_; }
  size_t read_lifecycle(const std::function<void(const cw_lifecycle&)>& each) override {
    return lifecycles_ ? lifecycles_->read(each) : 0;
  }
  KernelCounters counters() const override;
  Result<OpenSockets> open_sockets() override { return sockets_->open(); }
  Result<void> sweep_udp() override;
  Result<void> observe(uint64_t cgroup, const std::string& directory, Observation wanted) override {
    return observers_->set(cgroup, directory, wanted);
  }
  void stop_observing(uint64_t cgroup) override { observers_->remove(cgroup); }
  void read_captures(const OnCapture& each) override { observers_->read(each); }
  Result<void> apply(const KernelPolicy& policy) override;
  Result<void> amend(const KernelAmendment& amendment) override { return policy_->amend(amendment); }
  Result<void> set_subject(const KernelSubject& subject) override;
  Result<void> remove_subject(uint64_t cgroup) override;
  Result<void> allow_at_startup(const std::vector<KernelStartupAllow>& allowed) override {
    return policy_->allow_at_startup(allowed);
  }
  std::optional<cw_subject> subject(uint64_t cgroup) const override { return policy_->subject(cgroup); }
  Result<void> set_resolvers(const std::vector<KernelResolver>& resolvers) override {
    return names_->set_resolvers(resolvers);
  }
  Result<void> learn(uint64_t container, const Address& address, const std::string& name, uint32_t ttl,
                     uint64_t time_ns) override {
    return names_->learn(container, address, name, ttl, time_ns);
  }
  Result<std::vector<KernelLearned>> learned() const override { return names_->learned(); }
  Result<void> sweep_names() override { return names_->sweep(); }
  Result<void> ask(cw_question* question) override;
  Result<size_t> cut_refused() override { return sockets_->cut_refused(); }
  const std::string& guards_refused() const override { return programs_.guards_refused(); }
  uint64_t generation() const override { return policy_->generation(); }
  Result<WallReport> keep_wall(const std::vector<WallContainer>& containers, bool again) override;
  Result<void> uninstall() override;

 private:
  decltype(cellwall_bpf::maps)& maps() const { return programs_.skeleton().maps; }
  decltype(cellwall_bpf::progs)& programs() const { return programs_.skeleton().progs; }
  decltype(*cellwall_bpf::bss) variables() const { return *programs_.skeleton().bss; }
  PolicyMaps::Outer policy_maps() const;
  Result<void> map_events();
  Result<void> adopt_policy();
  Result<void> start_learning();
  Result<void> start_reading();

  const KernelOptions options_;
  const Pins pins_;
  KernelPrograms programs_;
  uint32_t ring_id_ = 0;
  uint64_t* reader_ = nullptr;  // the mapped value of cw_reader
  std::optional<RingReader> ring_;
  std::optional<Lifecycles> lifecycles_;
  std::optional<SocketIterators> sockets_;
  std::optional<PolicyMaps> policy_;
  std::optional<Guards> guards_;
  std::optional<Observers> observers_;
  std::optional<LearnedNames> names_;
  std::unique_ptr<Wall> wall_;
};

Result<void> LoadedKernel::start(const AttachPoint& point) {
  if (auto ok = programs_.load(point); !ok) return ok;
  if (auto ok = programs_.attach(point); !ok) return ok;
  if (auto ok = map_events(); !ok) return ok;
  if (auto ok = adopt_policy(); !ok) return ok;
  return start_reading();
}

PolicyMaps::Outer LoadedKernel::policy_maps() const {
  auto& maps = this->maps();
  return {.maps = {bpf_map__fd(maps.cw_subjects), bpf_map__fd(maps.cw_addresses),
                   bpf_map__fd(maps.cw_rule_identities), bpf_map__fd(maps.cw_rule_peers),
                   bpf_map__fd(maps.cw_rule_ports), bpf_map__fd(maps.cw_rule_names),
                   bpf_map__fd(maps.cw_rule_patterns)},
          .state = bpf_map__fd(maps.cw_policy),
          .startup = bpf_map__fd(maps.cw_startup_allows)};
}

Result<void> LoadedKernel::map_events() {
  bpf_map_info info = {};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(ring_fd(), &info, &size) != 0) return fail_errno("read the event ring's id");
  ring_id_ = info.id;
  auto ring = RingReader::map(ring_fd(), info.max_entries);
  if (!ring) return std::unexpected(ring.error());
  ring_.emplace(std::move(*ring));
  void* page =
      mmap(nullptr, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(maps().cw_reader), 0);
  if (page == MAP_FAILED) return fail_errno("map the reader's position");
  reader_ = static_cast<uint64_t*>(page);
  ring_->publish_to(reader_);
  return {};
}

// What an agent before this one has put in force stays so, with the new programs.
Result<void> LoadedKernel::adopt_policy() {
  auto policy = PolicyMaps::open(pins_, policy_maps(), options_);
  if (!policy) return std::unexpected(policy.error());
  policy_.emplace(std::move(*policy));
  guards_.emplace(pins_, Guards::Parts{{"guard_in_", programs().cw_guard_ingress},
                                       {"guard_out_", programs().cw_guard_egress},
                                       {"guard_option_", programs().cw_guard_option}});
  if (auto ok = guards_->adopt(); !ok) return ok;
  variables().cw_guarding = policy_->any_flags();
  return start_learning();
}

Result<void> LoadedKernel::start_learning() {
  auto names = LearnedNames::open(pins_,
                                  {.guard = programs().cw_names_guard,
                                   .teach = programs().cw_names_teach,
                                   .sweep = programs().cw_names_sweep},
                                  {.learned = bpf_map__fd(maps().cw_learned),
                                   .learners = bpf_map__fd(maps().cw_learners),
                                   .resolvers = bpf_map__fd(maps().cw_resolvers),
                                   .most_learners = bpf_map__max_entries(maps().cw_learners),
                                   .most_resolvers = bpf_map__max_entries(maps().cw_resolvers)});
  if (!names) return std::unexpected(names.error());
  names_.emplace(std::move(*names));
  return {};
}

Result<void> LoadedKernel::start_reading() {
  auto observers = Observers::open({.names_ingress = programs().cw_names_ingress,
                                    .payload_ingress = programs().cw_payload_ingress,
                                    .both_ingress = programs().cw_both_ingress,
                                    .payload_egress = programs().cw_payload_egress},
                                   bpf_map__fd(maps().cw_captures));
  if (!observers) return std::unexpected(observers.error());
  observers_.emplace(std::move(*observers));
  auto sockets = SocketIterators::attach(
      {.open_flows = programs().cw_open_flows, .refused_flows = programs().cw_refused_flows});
  if (!sockets) return std::unexpected(sockets.error());
  sockets_.emplace(std::move(*sockets));
  if (!bpf_program__autoload(programs().cw_cgroup_mkdir)) return {};
  if (auto ok = pins_.attach_tracing(programs().cw_cgroup_forget); !ok) return ok;
  auto lifecycles =
      Lifecycles::attach({.born = programs().cw_cgroup_mkdir, .died = programs().cw_cgroup_rmdir},
                         bpf_map__fd(maps().cw_lifecycles));
  if (!lifecycles) return std::unexpected(lifecycles.error());
  lifecycles_.emplace(std::move(*lifecycles));
  return {};
}

KernelCounters LoadedKernel::counters() const {
  KernelCounters totals = {};
  std::vector<uint64_t> per_cpu(static_cast<size_t>(std::max(libbpf_num_possible_cpus(), 1)));
  for (uint32_t counter = 0; counter < CW_COUNT_MAX; counter++) {
    if (bpf_map_lookup_elem(bpf_map__fd(maps().cw_counters), &counter, per_cpu.data()) != 0) continue;
    for (uint64_t value : per_cpu) totals[counter] += value;
  }
  return totals;
}

Result<void> LoadedKernel::apply(const KernelPolicy& policy) {
  std::set<uint64_t> wanted;
  bool any = false;
  for (const KernelSubject& subject : policy.subjects) {
    any = any || subject.flags;
    if (subject.flags & CW_SUBJECT_GUARDED) wanted.insert(subject.cgroup);
  }
  // Before the swap: with the generation before, a guard lets through what that one allows.
  if (any) variables().cw_guarding = 1;
  for (const KernelSubject& subject : policy.subjects) {
    if (!wanted.contains(subject.cgroup)) continue;
    if (auto ok = guards_->add(subject.cgroup, subject.directory); !ok) return ok;
  }
  // Likewise: who learns names does so before rules ask for them, and as long as they do.
  for (const KernelSubject& subject : policy.subjects) {
    if (!(subject.flags & CW_SUBJECT_NAMES)) continue;
    if (auto ok = names_->set(subject); !ok) return ok;
  }
  if (auto ok = policy_->apply(policy); !ok) return ok;
  names_->keep(policy.subjects);
  const std::set<uint64_t> before = guards_->guarded();
  for (uint64_t cgroup : before) {
    if (!wanted.contains(cgroup)) guards_->remove(cgroup);
  }
  variables().cw_guarding = any;
  return {};
}

Result<void> LoadedKernel::set_subject(const KernelSubject& subject) {
  if (subject.flags) variables().cw_guarding = 1;
  const bool guarded = subject.flags & CW_SUBJECT_GUARDED;
  const auto attached = guarded ? guards_->add(subject.cgroup, subject.directory) : Result<void>{};
  const auto learns = names_->set(subject);
  // The rules for what it begins hold also without a guard.
  if (auto ok = policy_->set_subject(subject); !ok) return ok;
  if (!guarded) guards_->remove(subject.cgroup);
  return attached ? learns : attached;
}

Result<void> LoadedKernel::remove_subject(uint64_t cgroup) {
  guards_->remove(cgroup);
  names_->remove(cgroup);
  forget_ports(bpf_map__fd(maps().cw_port_owners), cgroup);
  return policy_->remove_subject(cgroup);
}

Result<WallReport> LoadedKernel::keep_wall(const std::vector<WallContainer>& containers, bool again) {
  if (!wall_) {
    auto wall = Wall::open(
        pins_,
        {.program = bpf_program__fd(programs().cw_wall_packet), .pods = bpf_map__fd(maps().cw_wall_pods)},
        options_.network_namespace, !options_.wall_filters && has_device_links());
    if (!wall) return std::unexpected(wall.error());
    wall_ = std::move(*wall);
  }
  return wall_->keep(containers, again);
}

Result<void> LoadedKernel::uninstall() {
  wall_.reset();
  if (auto ok = remove_wall(options_.pin_directory, options_.network_namespace); !ok) return ok;
  return remove_pins(options_.pin_directory);
}

Result<void> LoadedKernel::ask(cw_question* question) {
  variables().cw_asked = *question;
  if (const auto done = test_run(programs().cw_ask, "ask the kernel what it would decide"); !done)
    return std::unexpected(done.error());
  *question = variables().cw_asked;
  return {};
}

Result<void> LoadedKernel::sweep_udp() {
  if (const auto done = test_run(programs().cw_sweep, "end idle UDP conversations"); !done)
    return std::unexpected(done.error());
  return {};
}

}  // namespace

Result<std::unique_ptr<Kernel>> Kernel::open(const KernelOptions& options) {
  auto point = find_attach_point(options.cgroup);
  if (!point) return std::unexpected(point.error());
  if (access("/sys/kernel/btf/vmlinux", R_OK) != 0)
    return fail_errno(
        "the kernel's type information /sys/kernel/btf/vmlinux cannot be read; a kernel with "
        "CONFIG_DEBUG_INFO_BTF=y is "
        "needed");
  auto pins = Pins::open(options.pin_directory);
  if (!pins) return std::unexpected(pins.error());
  auto kernel = std::make_unique<LoadedKernel>(options, *pins);
  if (auto ok = kernel->start(*point); !ok) return std::unexpected(ok.error());
  return kernel;
}

}  // namespace cellwall
