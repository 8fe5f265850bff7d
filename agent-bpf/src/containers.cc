// SPDX-License-Identifier: Apache-2.0
#include "containers.h"

#include <google/protobuf/util/message_differencer.h>

namespace cellwall {
namespace {

using namespace std::chrono_literals;

// As Docker's own default host name.
constexpr size_t kShortId = 12;
// Runtimes list a container before its cgroup is made; addresses may come a little later.
constexpr auto kAwaitNames = 10s;
constexpr auto kRemember = 60s;
// Full: of one more that dies, only that it is gone is told; counted.
constexpr size_t kMostDead = 4096;
// Full: what is listed is of use only while it is listed.
constexpr size_t kMostListed = 1024;

// A runtime tells an image too.
bool is_guess(const v1::Container& container) {
  return container.name().empty() || (container.image().empty() && container.pod().empty());
}

void fill(v1::Container* container, const RuntimeContainer& listed) {
  if (!listed.runtime.empty()) container->set_runtime(listed.runtime);
  container->set_name(listed.name);
  container->set_image(listed.image);
  container->set_namespace_(listed.namespace_name);
  container->set_pod(listed.pod);
  if (!listed.pod_uid.empty()) container->set_pod_uid(listed.pod_uid);
  container->mutable_labels()->clear();
  for (const auto& [key, value] : listed.labels) (*container->mutable_labels())[key] = value;
  // Of a container that ends, engines list no addresses any more.
  if (!listed.addresses.empty()) container->clear_addresses();
  for (const auto& address : listed.addresses) container->add_addresses(address);
  container->set_created_us(listed.created_us);
  container->clear_ports();
  for (const auto& port : listed.ports) {
    auto* entry = container->add_ports();
    entry->set_name(port.name);
    entry->set_protocol(port.protocol);
    entry->set_port(port.port);
  }
}

}  // namespace

void Containers::born(const ContainerCgroup& cgroup, Time now) {
  v1::Container& container = containers_[cgroup.id];
  container.set_cgroup_id(cgroup.id);
  container.set_cgroup_path(cgroup.path);
  container.set_runtime(cgroup.identity.runtime);
  container.set_runtime_id(cgroup.identity.runtime_id);
  container.set_pod_uid(cgroup.identity.pod_uid);
  // In a pod the runtime has a name for it, and a guess would stay in the records.
  if (cgroup.identity.pod_uid.empty()) container.set_name(cgroup.identity.runtime_id.substr(0, kShortId));
  const auto known = listed_.find(cgroup.identity.runtime_id);
  if (known != listed_.end()) fill(&container, known->second.container);
  awaited_[cgroup.id] = {.since = now, .named = known != listed_.end()};
  if (known != listed_.end()) listed_.erase(known);
  changed_.insert(cgroup.id);
}

void Containers::died(uint64_t cgroup, Time now) {
  auto known = containers_.extract(cgroup);
  if (known.empty()) return;
  const auto awaited = awaited_.find(cgroup);
  const bool named = awaited == awaited_.end() || awaited->second.named;
  awaited_.erase(cgroup);
  removed_.insert(cgroup);
  if (dead_.size() >= kMostDead) {
    forgotten_++;
    return;
  }
  dead_[cgroup] = {std::move(known.mapped()), now, named};
}

std::vector<uint64_t> Containers::name(const RuntimeContainers& listed, Time now) {
  std::vector<uint64_t> news;
  std::unordered_set<std::string_view> living;
  for (auto& [id, container] : containers_) {
    const auto found = listed.find(container.runtime_id());
    if (found == listed.end()) continue;
    living.insert(found->first);
    if (const auto awaited = awaited_.find(id); awaited != awaited_.end()) {
      awaited->second.named = true;
      if (!found->second.addresses.empty()) awaited_.erase(awaited);
    }
    v1::Container named = container;
    fill(&named, found->second);
    if (google::protobuf::util::MessageDifferencer::Equals(named, container)) continue;
    container = std::move(named);
    changed_.insert(id);
    news.push_back(id);
  }
  name_dead(listed);
  for (const auto& [runtime_id, container] : listed) {
    if (!living.contains(runtime_id)) remember(runtime_id, container, now);
  }
  return news;
}

void Containers::name_dead(const RuntimeContainers& listed) {
  for (auto& [id, dead] : dead_) {
    if (dead.named) continue;
    const auto found = listed.find(dead.container.runtime_id());
    if (found == listed.end()) continue;
    fill(&dead.container, found->second);
    dead.named = true;
    changed_.insert(id);
    removed_.insert(id);  // again: the server takes what is upserted for alive
  }
}

void Containers::remember(const std::string& runtime_id, const RuntimeContainer& listed, Time now) {
  if (listed_.size() < kMostListed || listed_.contains(runtime_id)) listed_[runtime_id] = {listed, now};
}

bool Containers::expects_names(Time now) const {
  const auto young = [&](Time since) { return now - since < kAwaitNames; };
  for (const auto& [id, awaited] : awaited_) {
    if (young(awaited.since)) return true;
  }
  for (const auto& [id, dead] : dead_) {
    if (!dead.named && young(dead.since)) return true;
  }
  return false;
}

void Containers::forget(Time now) {
  std::erase_if(awaited_, [&](const auto& entry) {
    return entry.second.named && now - entry.second.since > kAwaitNames;
  });
  std::erase_if(listed_, [&](const auto& entry) { return now - entry.second.since > kRemember; });
  std::erase_if(dead_, [&](const auto& entry) {
    return now - entry.second.since > kRemember && !changed_.contains(entry.first);
  });
}

void Containers::recall(const v1::Container& known) {
  const auto found = containers_.find(known.cgroup_id());
  if (found == containers_.end() || found->second.runtime_id() != known.runtime_id()) return;
  found->second = known;
  if (const auto awaited = awaited_.find(known.cgroup_id()); awaited != awaited_.end())
    awaited->second.named = awaited->second.named || !is_guess(known);
}

bool Containers::named(uint64_t cgroup) const {
  if (!containers_.contains(cgroup)) return false;
  const auto awaited = awaited_.find(cgroup);
  return awaited == awaited_.end() || awaited->second.named;
}

const v1::Container* Containers::find(uint64_t cgroup) const {
  if (const auto found = containers_.find(cgroup); found != containers_.end()) return &found->second;
  const auto dead = dead_.find(cgroup);
  return dead == dead_.end() ? nullptr : &dead->second.container;
}

v1::ContainersUpdate Containers::complete() const {
  v1::ContainersUpdate update;
  update.set_complete(true);
  for (const auto& [id, container] : containers_) *update.add_upserted() = container;
  // What the server was told of these may have been lost with the connection.
  for (const auto& [id, dead] : dead_) {
    *update.add_upserted() = dead.container;
    update.add_removed(id);
  }
  return update;
}

void Containers::reset_changes() {
  changed_.clear();
  removed_.clear();
}

v1::ContainersUpdate Containers::take_changes() {
  v1::ContainersUpdate update;
  for (uint64_t id : changed_) {
    if (const v1::Container* container = find(id)) *update.add_upserted() = *container;
  }
  for (uint64_t id : removed_) update.add_removed(id);
  reset_changes();
  return update;
}

}  // namespace cellwall
