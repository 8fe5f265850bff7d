// SPDX-License-Identifier: Apache-2.0
#include "kernel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdarg>
#include <optional>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include "cellwall.skel.h"
#include "kernel_cgroup.h"
#include "kernel_cut.h"
#include "kernel_guard.h"
#include "kernel_names.h"
#include "kernel_pins.h"
#include "kernel_policy.h"
#include "probe.h"
#include "test_run.h"
#include "wall.h"

namespace cellwall {
namespace {

struct SkeletonDeleter {
  void operator()(cellwall_bpf* skeleton) const { cellwall_bpf__destroy(skeleton); }
};
struct LinkDeleter {
  void operator()(bpf_link* link) const { bpf_link__destroy(link); }
};
struct LifecycleDeleter {
  void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
};

// What libbpf complained about last: its return values are bare errno values.
std::string& complaints() {
  static std::string text;
  return text;
}

int collect_complaint(libbpf_print_level level, const char* format, va_list arguments) {
  constexpr size_t kMost = 4096;
  if (level != LIBBPF_WARN) return 0;
  va_list again;
  va_copy(again, arguments);
  // The verifier's log is long, and what it says is at its end.
  std::string line(static_cast<size_t>(std::max(vsnprintf(nullptr, 0, format, again), 0)) + 1, '\0');
  va_end(again);
  vsnprintf(line.data(), line.size(), format, arguments);
  line.pop_back();
  std::string& text = complaints();
  text += line;
  if (text.size() > kMost) text.erase(0, text.size() - kMost);
  return 0;
}

std::string last_complaint() {
  std::string text = complaints();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text.empty() ? "" : " (" + text.substr(text.size() > 600 ? text.size() - 600 : 0) + ")";
}

void forget_ports(int map, uint64_t container) {
  cw_port_owner_key key = {}, next = {};
  uint64_t owner = 0;
  bool more = bpf_map_get_next_key(map, nullptr, &next) == 0;
  while (more) {
    key = next;
    more = bpf_map_get_next_key(map, &key, &next) == 0;
    if (bpf_map_lookup_elem(map, &key, &owner) == 0 && owner == container) bpf_map_delete_elem(map, &key);
  }
}

class LoadedKernel : public Kernel {
 public:
  LoadedKernel(const KernelOptions& options, Pins pins) : options_(options), pins_(std::move(pins)) {}
  ~LoadedKernel() override {
    if (reader_) munmap(reader_, sizeof(uint64_t));
  }

  Result<void> load(const AttachPoint& point);
  Result<void> attach(const AttachPoint& point);
  Result<void> start_reading();

  bool adopted() const override { return adopted_; }
  uint32_t ring_id() const override { return ring_id_; }
  int ring_fd() const override { return bpf_map__fd(skeleton_->maps.cw_events); }
  int lifecycle_fd() const override { return lifecycles_ ? ring_buffer__epoll_fd(lifecycles_.get()) : -1; }
  int captures_fd() const override { return observers_->fd(); }
  RingReader& ring() override { return *ring_; }
  size_t read_lifecycle(const std::function<void(const cw_lifecycle&)>& each) override;
  KernelCounters counters() const override;
  Result<OpenSockets> open_sockets() override;
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
  Result<void> learn(uint64_t container, const std::array<uint8_t, 16>& address, const std::string& name,
                     uint32_t ttl) override {
    return names_->learn(container, address, name, ttl);
  }
  Result<std::vector<KernelLearned>> learned() const override { return names_->learned(); }
  Result<void> sweep_names() override { return names_->sweep(); }
  Result<void> ask(cw_question* question) override;
  Result<size_t> cut_refused() override;
  const std::string& guards_refused() const override { return guards_refused_; }
  uint64_t generation() const override { return policy_->generation(); }
  Result<WallReport> keep_wall(const std::vector<WallContainer>& containers, bool again) override;
  Result<void> uninstall() override;

 private:
  void configure(const AttachPoint& point);
  int try_load(const AttachPoint& point, bool guards, Result<void>* adopted);
  std::vector<bpf_program*> guard_programs() const;
  Result<void> adopt_maps();
  Result<void> pin_maps();
  std::vector<bpf_map*> pinned_maps() const;
  PolicyMaps::Outer policy_maps() const;
  Result<void> start_learning();
  std::vector<bpf_program*> cgroup_programs() const;

  KernelOptions options_;
  Pins pins_;
  bool adopted_ = false;
  uint32_t ring_id_ = 0;
  uint64_t* reader_ = nullptr;  // the mapped value of cw_reader
  std::unique_ptr<cellwall_bpf, SkeletonDeleter> skeleton_;
  std::unique_ptr<bpf_link, LinkDeleter> born_;
  std::unique_ptr<bpf_link, LinkDeleter> died_;
  std::unique_ptr<bpf_link, LinkDeleter> open_flows_;
  std::unique_ptr<bpf_link, LinkDeleter> refused_flows_;
  std::unique_ptr<ring_buffer, LifecycleDeleter> lifecycles_;
  std::function<void(const cw_lifecycle&)> on_lifecycle_;
  std::optional<RingReader> ring_;
  std::optional<PolicyMaps> policy_;
  std::optional<Guards> guards_;
  std::string guards_refused_;
  std::optional<Observers> observers_;
  std::optional<LearnedNames> names_;
  std::unique_ptr<Wall> wall_;
};

std::vector<bpf_map*> LoadedKernel::pinned_maps() const {
  auto& maps = skeleton_->maps;
  return {maps.cw_events,     maps.cw_counters,      maps.cw_reader,    maps.cw_slots,
          maps.cw_overflow,   maps.cw_peers,         maps.cw_policy,    maps.cw_subjects,
          maps.cw_rule_peers, maps.cw_rule_ports,    maps.cw_addresses, maps.cw_rule_identities,
          maps.cw_rule_names, maps.cw_rule_patterns, maps.cw_learned,   maps.cw_startup_allows,
          maps.cw_results,    maps.cw_learners,      maps.cw_resolvers, maps.cw_streams};
}

PolicyMaps::Outer LoadedKernel::policy_maps() const {
  auto& maps = skeleton_->maps;
  return {.maps = {bpf_map__fd(maps.cw_subjects), bpf_map__fd(maps.cw_addresses),
                   bpf_map__fd(maps.cw_rule_identities), bpf_map__fd(maps.cw_rule_peers),
                   bpf_map__fd(maps.cw_rule_ports), bpf_map__fd(maps.cw_rule_names),
                   bpf_map__fd(maps.cw_rule_patterns)},
          .state = bpf_map__fd(maps.cw_policy),
          .startup = bpf_map__fd(maps.cw_startup_allows)};
}

std::vector<bpf_program*> LoadedKernel::cgroup_programs() const {
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
std::vector<bpf_program*> LoadedKernel::guard_programs() const {
  auto& programs = skeleton_->progs;
  return {programs.cw_guard_ingress, programs.cw_guard_egress, programs.cw_guard_option,
          programs.cw_sock_create,   programs.cw_bind4,        programs.cw_bind6,
          programs.cw_post_bind4,    programs.cw_post_bind6,   programs.cw_refused_flows};
}

Result<void> LoadedKernel::adopt_maps() {
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

void LoadedKernel::configure(const AttachPoint& point) {
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

int LoadedKernel::try_load(const AttachPoint& point, bool guards, Result<void>* adopted) {
  complaints().clear();
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

Result<void> LoadedKernel::load(const AttachPoint& point) {
  libbpf_set_print(collect_complaint);
  Result<void> adopted;
  int error = try_load(point, !options_.without_guards, &adopted);
  if (options_.without_guards) guards_refused_ = "switched off";
  if (!adopted) return adopted;
  if (error != 0 && error != -EPERM && !options_.without_guards) {
    guards_refused_ = "the kernel refuses the programs" + last_complaint();
    error = try_load(point, false, &adopted);
  }
  if (error == -EPERM)
    return fail(
        "load the kernel programs: not permitted; the agent needs root, or CAP_BPF, CAP_PERFMON and "
        "CAP_NET_ADMIN "
        "(and CAP_SYS_RESOURCE before Linux 5.11)");
  if (error != 0)
    return fail("load the kernel programs: " + std::string(std::strerror(-error)) + last_complaint() +
                "; 'cellwall-agent check' shows what this kernel lacks");
  // Until it is known whom to guard: what an earlier agent left must not be interrupted.
  skeleton_->bss->cw_guarding = adopted_;
  return {};
}

Result<void> LoadedKernel::pin_maps() {
  for (bpf_map* map : pinned_maps()) {
    if (auto ok = pins_.pin_map(map); !ok) return ok;
  }
  return {};
}

Result<void> LoadedKernel::attach(const AttachPoint& point) {
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

Result<void> LoadedKernel::start_reading() {
  bpf_map_info info = {};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(ring_fd(), &info, &size) != 0) return fail_errno("read the event ring's id");
  ring_id_ = info.id;
  auto ring = RingReader::map(ring_fd(), info.max_entries);
  if (!ring) return std::unexpected(ring.error());
  ring_.emplace(std::move(*ring));
  void* page = mmap(nullptr, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED,
                    bpf_map__fd(skeleton_->maps.cw_reader), 0);
  if (page == MAP_FAILED) return fail_errno("map the reader's position");
  reader_ = static_cast<uint64_t*>(page);
  ring_->publish_to(reader_);

  auto policy = PolicyMaps::open(pins_, policy_maps(), options_);
  if (!policy) return std::unexpected(policy.error());
  policy_.emplace(std::move(*policy));

  auto& programs = skeleton_->progs;
  guards_.emplace(pins_, Guards::Parts{{"guard_in_", programs.cw_guard_ingress},
                                       {"guard_out_", programs.cw_guard_egress},
                                       {"guard_option_", programs.cw_guard_option}});
  if (auto ok = guards_->adopt(); !ok) return ok;
  skeleton_->bss->cw_guarding = policy_->any_flags();
  if (auto ok = start_learning(); !ok) return ok;
  auto observers = Observers::open({.names_ingress = skeleton_->progs.cw_names_ingress,
                                    .payload_ingress = skeleton_->progs.cw_payload_ingress,
                                    .both_ingress = skeleton_->progs.cw_both_ingress,
                                    .payload_egress = skeleton_->progs.cw_payload_egress},
                                   bpf_map__fd(skeleton_->maps.cw_captures));
  if (!observers) return std::unexpected(observers.error());
  observers_.emplace(std::move(*observers));

  open_flows_.reset(bpf_program__attach_iter(skeleton_->progs.cw_open_flows, nullptr));
  if (!open_flows_) return fail_errno("attach the iterator of open connections");
  if (bpf_program__autoload(programs.cw_refused_flows)) {
    refused_flows_.reset(bpf_program__attach_iter(programs.cw_refused_flows, nullptr));
    if (!refused_flows_) return fail_errno("attach the iterator of refused connections");
  }
  if (!bpf_program__autoload(skeleton_->progs.cw_cgroup_mkdir)) return {};
  if (auto ok = pins_.attach_tracing(programs.cw_cgroup_forget); !ok) return ok;
  lifecycles_.reset(ring_buffer__new(
      bpf_map__fd(skeleton_->maps.cw_lifecycles),
      [](void* self, void* data, size_t) {
        static_cast<LoadedKernel*>(self)->on_lifecycle_(*static_cast<cw_lifecycle*>(data));
        return 0;
      },
      this, nullptr));
  if (!lifecycles_) return fail_errno("map the ring of cgroup births and deaths");
  born_.reset(bpf_program__attach(skeleton_->progs.cw_cgroup_mkdir));
  died_.reset(bpf_program__attach(skeleton_->progs.cw_cgroup_rmdir));
  if (!born_ || !died_) return fail_errno("attach to the tracepoints of cgroup births and deaths");
  return {};
}

Result<void> LoadedKernel::start_learning() {
  auto& maps = skeleton_->maps;
  auto names = LearnedNames::open(pins_,
                                  {.guard = skeleton_->progs.cw_names_guard,
                                   .teach = skeleton_->progs.cw_names_teach,
                                   .sweep = skeleton_->progs.cw_names_sweep},
                                  {.learned = bpf_map__fd(maps.cw_learned),
                                   .learners = bpf_map__fd(maps.cw_learners),
                                   .resolvers = bpf_map__fd(maps.cw_resolvers),
                                   .most_learners = bpf_map__max_entries(maps.cw_learners),
                                   .most_resolvers = bpf_map__max_entries(maps.cw_resolvers)});
  if (!names) return std::unexpected(names.error());
  names_.emplace(std::move(*names));
  return {};
}

size_t LoadedKernel::read_lifecycle(const std::function<void(const cw_lifecycle&)>& each) {
  if (!lifecycles_) return 0;
  on_lifecycle_ = each;
  const int count = ring_buffer__consume(lifecycles_.get());
  on_lifecycle_ = nullptr;
  return count > 0 ? static_cast<size_t>(count) : 0;
}

KernelCounters LoadedKernel::counters() const {
  KernelCounters totals = {};
  std::vector<uint64_t> per_cpu(static_cast<size_t>(std::max(libbpf_num_possible_cpus(), 1)));
  for (uint32_t counter = 0; counter < CW_COUNT_MAX; counter++) {
    if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.cw_counters), &counter, per_cpu.data()) != 0)
      continue;
    for (uint64_t value : per_cpu) totals[counter] += value;
  }
  return totals;
}

// Runs an iterator that writes records of one size.
template <typename Record>
Result<void> read_iterator(bpf_link* link, const std::function<void(const Record&)>& each) {
  Fd iterator(bpf_iter_create(bpf_link__fd(link)));
  if (!iterator) return fail_errno("start the iterator of open connections");
  std::array<Record, 64> chunk;
  size_t filled = 0;
  for (;;) {
    char* bytes = reinterpret_cast<char*>(chunk.data());
    const ssize_t count = read(iterator.get(), bytes + filled, sizeof(chunk) - filled);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count < 0) return fail_errno("read the open connections");
    if (count == 0) return {};
    filled += static_cast<size_t>(count);
    const size_t whole = filled / sizeof(Record);
    for (const Record& record : std::span(chunk).first(whole)) each(record);
    filled -= whole * sizeof(Record);
    std::memmove(bytes, bytes + whole * sizeof(Record), filled);
  }
}

Result<OpenSockets> LoadedKernel::open_sockets() {
  // Several tasks can hold one socket.
  std::unordered_map<uint64_t, cw_event> flows, listeners;
  auto done = read_iterator<cw_event>(open_flows_.get(), [&](const cw_event& event) {
    (event.end == CW_END_LISTENING ? listeners : flows).emplace(event.cookie, event);
  });
  if (!done) return std::unexpected(done.error());
  OpenSockets sockets;
  for (const auto& [cookie, flow] : flows) sockets.flows.push_back(flow);
  for (const auto& [cookie, listener] : listeners) sockets.listeners.push_back(listener);
  return sockets;
}

Result<size_t> LoadedKernel::cut_refused() {
  if (!refused_flows_) return size_t{0};
  // Several tasks can hold one socket.
  std::unordered_set<uint64_t> seen;
  std::vector<cw_cut> sockets;
  auto done = read_iterator<cw_cut>(refused_flows_.get(), [&](const cw_cut& cut) {
    if (!cut.cookie || seen.insert(cut.cookie).second) sockets.push_back(cut);
  });
  if (!done) return std::unexpected(done.error());
  const CutResult result = destroy_sockets(std::move(sockets));
  if (!result.refusal.empty())
    return fail("some refused connections are not reset, their packets are dropped: " + result.refusal);
  return result.destroyed;
}

Result<void> LoadedKernel::apply(const KernelPolicy& policy) {
  std::set<uint64_t> wanted;
  bool any = false;
  for (const KernelSubject& subject : policy.subjects) {
    any = any || subject.flags;
    if (subject.flags & CW_SUBJECT_GUARDED) wanted.insert(subject.cgroup);
  }
  // Before the swap: with the generation before, a guard lets through what that one allows.
  if (any) skeleton_->bss->cw_guarding = 1;
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
  skeleton_->bss->cw_guarding = any;
  return {};
}

Result<void> LoadedKernel::set_subject(const KernelSubject& subject) {
  if (subject.flags) skeleton_->bss->cw_guarding = 1;
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
  forget_ports(bpf_map__fd(skeleton_->maps.cw_port_owners), cgroup);
  return policy_->remove_subject(cgroup);
}

Result<WallReport> LoadedKernel::keep_wall(const std::vector<WallContainer>& containers, bool again) {
  if (!wall_) {
    auto wall = Wall::open(pins_,
                           {.program = bpf_program__fd(skeleton_->progs.cw_wall_packet),
                            .pods = bpf_map__fd(skeleton_->maps.cw_wall_pods)},
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
  skeleton_->bss->cw_asked = *question;
  if (const auto done = test_run(skeleton_->progs.cw_ask, "ask the kernel what it would decide"); !done)
    return std::unexpected(done.error());
  *question = skeleton_->bss->cw_asked;
  return {};
}

Result<void> LoadedKernel::sweep_udp() {
  if (const auto done = test_run(skeleton_->progs.cw_sweep, "end idle UDP conversations"); !done)
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
  auto kernel = std::make_unique<LoadedKernel>(options, std::move(*pins));
  if (auto ok = kernel->load(*point); !ok) return std::unexpected(ok.error());
  if (auto ok = kernel->attach(*point); !ok) return std::unexpected(ok.error());
  if (auto ok = kernel->start_reading(); !ok) return std::unexpected(ok.error());
  return kernel;
}

}  // namespace cellwall
