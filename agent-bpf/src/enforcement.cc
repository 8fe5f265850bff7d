// SPDX-License-Identifier: Apache-2.0
#include "enforcement.h"

#include <algorithm>
#include <tuple>

#include "clock.h"
#include "ip_address.h"
#include "log.h"
#include "name_teacher.h"

namespace cellwall {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

// Amendments come in bursts: what is merged until then is written once.
constexpr auto kSavePause = 1s;
constexpr auto kCutPause = 100ms;
constexpr auto kRetryPause = 1s;
constexpr auto kRetrySave = 60s;
constexpr auto kNameSweepPause = 10s;
// Writing the file and cutting connections each take at most this part of the main loop's time.
constexpr int kShare = 10;
// Runtimes list a container before its cgroup is made, and are asked again every half minute.
constexpr auto kTellRefused = 60s;

}  // namespace

Enforcement::Enforcement(Kernel& kernel, const Containers& containers, DirectoryOf directory_of,
                         const Options& options)
    : kernel_(kernel),
      containers_(containers),
      directory_of_(std::move(directory_of)),
      options_(options),
      file_(options.file),
      networks_(containers, directory_of_) {}

void Enforcement::restore() {
  const auto payload = file_.load();
  if (!payload) {
    log(LogLevel::kError, payload.error().message);
    return select_all();
  }
  if (payload->empty()) return select_all();
  if (const auto saved = Policy::parse(*payload, options_.node);
      saved && saved->generation() < kernel_.generation()) {
    log(LogLevel::kWarning,
        "the saved policy is older than what is in force, which stays until the server answers",
        {{"saved", saved->generation()}, {"generation", kernel_.generation()}});
    return select_all();
  }
  if (auto ok = apply(*payload); !ok) {
    log(LogLevel::kError, ok.error().message);
    return select_all();
  }
  log(LogLevel::kInfo, "policy of the last run is in force",
      {{"generation", policy_->generation()}, {"revision", policy_->revision()}});
}

Result<void> Enforcement::take(const v1::RuleSetUpdate& update) {
  if (digest_of(update.payload()) != update.digest())
    return fail("the digest of the rule sets is wrong: they were damaged on the way");
  if (update.digest() == digest_ && !amended_) return {};
  return take_all(update.payload());
}

Result<void> Enforcement::take(const v1::RuleSetDifference& difference) {
  if (!policy_) return fail("a difference came before any rule sets: all have to be sent");
  const auto payload = policy_->payload_with(difference);
  if (!payload) return std::unexpected(payload.error());
  return take_all(*payload);
}

Result<void> Enforcement::take_all(const std::string& payload) {
  if (auto ok = apply(payload); !ok) return ok;
  // In force already; without the file the next start waits for the server instead.
  unsaved_ = false;
  if (auto ok = file_.save(payload); !ok) log(LogLevel::kError, ok.error().message);
  log(LogLevel::kInfo, "policy applied",
      {{"generation", policy_->generation()}, {"revision", policy_->revision()}});
  return {};
}

Result<void> Enforcement::apply(const std::string& payload) {
  auto parsed = Policy::parse(payload, options_.node);
  if (!parsed) return std::unexpected(parsed.error());
  // The kernel's outlives this agent, and its file.
  const uint64_t in_force = std::max(policy_ ? policy_->generation() : 0, kernel_.generation());
  if (parsed->generation() < in_force && !other_store_)
    return fail(
        "generation " + std::to_string(parsed->generation()) + " is older than " + std::to_string(in_force) +
        ", which is in force: it is refused. A server that was set back to an older copy of its data goes on "
        "after that with --generation-from");
  KernelPolicy wanted = parsed->kernel_policy();
  std::unordered_map<uint64_t, Decision> decisions;
  for (const auto& [id, container] : containers_.all()) {
    const Decision& decision = decisions[id] = decide(&*parsed, container);
    wanted.subjects.push_back(subject(container, decision));
  }
  if (auto ok = kernel_.apply(wanted); !ok) return ok;
  policy_ = std::move(*parsed);
  digest_ = digest_of(payload);
  amended_ = other_store_ = false;
  decisions_ = std::move(decisions);
  failed_.clear();
  cut_wanted_ = true;
  const Time now = steady_clock::now();
  for (const auto& [id, decision] : decisions_) settle(containers_.all().at(id), decision, now);
  return {};
}

Result<void> Enforcement::take(const v1::RuleSetAmendment& amendment) {
  if (!policy_) return fail("an amendment came before any rule sets: all have to be sent");
  const auto changes = policy_->prepare(amendment);
  if (!changes) return std::unexpected(changes.error());
  amended_ = true;
  cut_wanted_ = true;
  if (auto ok = kernel_.amend(*changes); !ok) return ok;
  policy_->commit(amendment);
  unsaved_ = true;
  // A container with a part of its policy may have all of it now, and one without names may have some.
  if (amendment.rule_sets_size() == 0 && changes->rules.names.empty()) return {};
  select_all();
  return {};
}

bool Enforcement::is_known(const v1::Container& container) const {
  if (container.name().empty()) return false;
  // Without a runtime's word the name is a guess, by which a refusal must not end.
  return options_.startup == Startup::kAllow || containers_.named(container.cgroup_id());
}

Enforcement::Decision Enforcement::decide(const Policy* policy, const v1::Container& container) const {
  Decision decision = match(policy, container);
  for (const std::string& text : container.addresses()) {
    if (const auto address = parse_address(text); address) decision.addresses.push_back(*address);
  }
  return decision;
}

Enforcement::Decision Enforcement::match(const Policy* policy, const v1::Container& container) const {
  if (policy && is_known(container)) return {.match = policy->match(container), .final = true};
  // Nothing can be said about it: what is in force stays. Rule sets mean the same within one generation only.
  const auto in_force = kernel_.subject(container.cgroup_id());
  const bool same = !policy || policy->generation() == kernel_.generation();
  if (in_force && same && (in_force->rule_set != 0 || containers_.named(container.cgroup_id())))
    return {.match = {.rule_set = in_force->rule_set, .flags = in_force->flags}};
  Decision undecided;
  if (options_.startup == Startup::kDeny) undecided.match.flags = CW_SUBJECT_STARTUP;
  return undecided;
}

KernelSubject Enforcement::subject(const v1::Container& container, const Decision& decision) {
  KernelSubject made = {.cgroup = container.cgroup_id(),
                        .rule_set = decision.match.rule_set,
                        .flags = decision.match.flags,
                        .directory = directory_of_(container.cgroup_path()),
                        .addresses = decision.addresses};
  // A name server answers from its own address, from which nobody else may.
  const auto serves = [&](const KernelResolver& it) {
    return std::ranges::find(made.addresses, it.address) != made.addresses.end();
  };
  if (std::ranges::any_of(resolvers_, serves)) made.flags |= CW_SUBJECT_RESOLVER;
  without_network_.erase(made.cgroup);
  if (!(made.flags & CW_SUBJECT_NAMES)) return made;
  if (const PodNetwork* network = networks_.of(container); network)
    made.net = network->number;
  else
    without_network_.insert(made.cgroup);
  tell_resolvers();
  return made;
}

void Enforcement::look_for_networks() {
  for (const uint64_t id : std::vector<uint64_t>(without_network_.begin(), without_network_.end())) {
    const auto container = containers_.all().find(id);
    const auto decision = decisions_.find(id);
    if (container == containers_.all().end() || decision == decisions_.end()) {
      without_network_.erase(id);
      continue;
    }
    const KernelSubject found = subject(container->second, decision->second);
    if (found.net == 0) continue;
    if (auto ok = kernel_.set_subject(found); !ok)
      failed_.insert(id);
    else
      teach(container->second, decision->second);
  }
}

// What it looked up before its rules had the names: it need not look up again.
void Enforcement::teach(const v1::Container& container, const Decision& decision) {
  if (!options_.names || !(decision.match.flags & CW_SUBJECT_NAMES)) return;
  const PodNetwork* network = networks_.of(container);
  if (network)
    NameTeacher(kernel_, *options_.names).teach(container.cgroup_id(), network->number, resolvers_);
}

// Who serves names is known with the resolvers of all.
void Enforcement::put_all() {
  for (const auto& [id, container] : containers_.all()) {
    const auto decision = decisions_.find(id);
    if (decision == decisions_.end() || decision->second.match.flags == 0) continue;
    if (auto ok = kernel_.set_subject(subject(container, decision->second)); !ok) failed_.insert(id);
  }
}

// What is asked over loopback is trusted in that network alone; there, any process can have any address.
void Enforcement::tell_resolvers() {
  std::vector<KernelResolver> wanted;
  for (const PodNetwork& network : networks_.all()) {
    for (const Address& address : network.name_servers)
      wanted.push_back({.net = is_loopback(address) ? network.number : 0, .address = address});
  }
  const auto order = [](const KernelResolver& it) { return std::tie(it.net, it.address); };
  std::ranges::sort(wanted, {}, order);
  wanted.erase(std::ranges::unique(wanted, {}, order).begin(), wanted.end());
  if (std::ranges::equal(wanted, resolvers_, {}, order, order)) return;
  if (auto ok = kernel_.set_resolvers(wanted); !ok)
    log(LogLevel::kError, "names of some containers are not learned: " + ok.error().message);
  resolvers_ = std::move(wanted);
  resolvers_changed_ = true;
}

void Enforcement::born(uint64_t cgroup, uint64_t born_ns, Time now) {
  if (born_ns != 0 && kernel_.generation() != 0) born_ns_[cgroup] = born_ns;
  select(cgroup, now);
}

void Enforcement::known(const std::vector<uint64_t>& containers, Time now) {
  for (uint64_t id : containers) select(id, now);
}

void Enforcement::select_all() {
  const Time now = steady_clock::now();
  for (const auto& [id, container] : containers_.all()) select(id, now);
}

void Enforcement::select(uint64_t cgroup, Time now) {
  // No generation yet: the first one will bring all containers. Without any, the node was never told what to
  // refuse, and would keep its own agent from the server.
  if (kernel_.generation() == 0) return;
  const v1::Container& container = containers_.all().at(cgroup);
  const Decision decision = decide(policy_ ? &*policy_ : nullptr, container);
  if (put(container, decision)) settle(container, decision, now);
}

// What follows once a decision is in force.
void Enforcement::settle(const v1::Container& container, const Decision& decision, Time now) {
  const uint64_t id = container.cgroup_id();
  if (decision.match.flags & CW_SUBJECT_STARTUP)
    refused_.emplace(id, Refused{now});
  else
    refused_.erase(id);
  teach(container, decision);
  // What is not known yet goes on being read as it was.
  if (!decision.final) return;
  observe(container);
  measure_start(id);
}

// False: the kernel did not take it; it is tried again.
bool Enforcement::put(const v1::Container& container, const Decision& decision) {
  const uint64_t id = container.cgroup_id();
  const auto before = decisions_.find(id);
  const bool failed = failed_.contains(id);
  if (before != decisions_.end() && before->second == decision && !failed) return true;
  if (auto ok = kernel_.set_subject(subject(container, decision)); !ok) {
    if (failed_.insert(id).second) log(LogLevel::kError, ok.error().message, {{"cgroup", id}});
    return false;
  }
  failed_.erase(id);
  decisions_[id] = decision;
  // What it opened before may be refused from here on.
  if (decision.match.flags != 0) cut_wanted_ = true;
  return true;
}

void Enforcement::measure_start(uint64_t cgroup) {
  const auto born = born_ns_.extract(cgroup);
  if (born.empty()) return;
  start_us_ = (boot_now_ns() - born.mapped()) / 1000;
  longest_start_us_ = std::max(longest_start_us_, start_us_);
  log(LogLevel::kDebug, "the policy of a new container is in force",
      {{"cgroup", cgroup}, {"microseconds", start_us_}});
}

void Enforcement::observe(const v1::Container& container) {
  const auto ok = kernel_.observe(container.cgroup_id(), directory_of_(container.cgroup_path()),
                                  policy_->observation(container));
  if (!ok)
    log(LogLevel::kWarning, "names and protocols of a container are not recorded: " + ok.error().message,
        {{"cgroup", container.cgroup_id()}});
}

void Enforcement::died(uint64_t cgroup) {
  decisions_.erase(cgroup);
  born_ns_.erase(cgroup);
  refused_.erase(cgroup);
  failed_.erase(cgroup);
  without_network_.erase(cgroup);
  networks_.forget();
  kernel_.stop_observing(cgroup);
  if (auto ok = kernel_.remove_subject(cgroup); !ok) log(LogLevel::kError, ok.error().message);
}

void Enforcement::tick(Time now) {
  if (!without_network_.empty()) look_for_networks();
  if (std::exchange(resolvers_changed_, false)) put_all();
  if (cut_wanted_ && now >= next_cut_) cut(now);
  if (unsaved_ && now >= next_save_) save(now);
  if (now >= next_name_sweep_) {
    if (auto ok = kernel_.sweep_names(); !ok) log(LogLevel::kError, ok.error().message);
    next_name_sweep_ = now + kNameSweepPause;
  }
  if (now < next_retry_) return;
  retry(now);
  tell_refused(now);
  next_retry_ = now + kRetryPause;
}

void Enforcement::cut(Time now) {
  const Time began = steady_clock::now();
  const auto count = kernel_.cut_refused();
  const auto took = steady_clock::now() - began;
  cut_wanted_ = !count;
  next_cut_ = now + std::max<steady_clock::duration>(count ? kCutPause : kRetryPause, took * kShare);
  const std::string error = count ? "" : count.error().message;
  if (std::exchange(last_cut_error_, error) != error && !error.empty())
    log(LogLevel::kError, "connections that are refused now stay open: " + error);
  if (!count) return;
  connections_cut_ += *count;
  if (*count > 0) log(LogLevel::kInfo, "connections cut that the policy refuses", {{"count", *count}});
}

void Enforcement::save(Time now) {
  const Time began = steady_clock::now();
  const auto saved = file_.save(policy_->payload());
  const auto took = steady_clock::now() - began;
  unsaved_ = !saved;
  next_save_ = now + std::max<steady_clock::duration>(saved ? kSavePause : kRetrySave, took * kShare);
  if (!saved) log(LogLevel::kError, saved.error().message);
}

void Enforcement::retry(Time now) {
  const std::vector<uint64_t> again(failed_.begin(), failed_.end());
  for (uint64_t id : again) select(id, now);
}

// Once for each container.
void Enforcement::tell_refused(Time now) {
  for (auto& [id, refused] : refused_) {
    if (refused.told || now - refused.since < kTellRefused) continue;
    refused.told = true;
    log(LogLevel::kWarning,
        "no runtime names this container, so everything is refused to it (--startup deny): check the runtime "
        "and --cri-socket, --docker-socket or --podman-socket, or start the agent with --startup allow",
        {{"cgroup", id}, {"path", containers_.all().at(id).cgroup_path()}});
  }
}

void Enforcement::stop() {
  if (unsaved_) save(steady_clock::now());
}

v1::Applied Enforcement::applied() const {
  v1::Applied applied;
  applied.set_generation(kernel_.generation());
  applied.set_digest(digest_);
  if (policy_) applied.set_revision(policy_->revision());
  applied.set_containers(
      static_cast<uint32_t>(std::count_if(decisions_.begin(), decisions_.end(), [](const auto& it) {
        return (it.second.match.flags & CW_SUBJECT_GUARDED) != 0;
      })));
  return applied;
}

void Enforcement::count(google::protobuf::Map<std::string, uint64_t>* counters) const {
  const auto number = [&](const auto& counts) {
    return static_cast<uint64_t>(std::count_if(decisions_.begin(), decisions_.end(),
                                               [&](const auto& it) { return counts(it.second.match); }));
  };
  (*counters)["containers_partially_covered"] = number([](const auto& it) { return it.partial; });
  (*counters)["containers_refused_at_startup"] =
      number([](const auto& it) { return (it.flags & CW_SUBJECT_STARTUP) != 0; });
  (*counters)["containers_policy_failed"] = failed_.size();
  (*counters)["connections_cut"] = connections_cut_;
  (*counters)["policy_revision"] = policy_ ? policy_->revision() : 0;
  (*counters)["startup_policy_us"] = start_us_;
  (*counters)["startup_policy_longest_us"] = longest_start_us_;
}

}  // namespace cellwall
