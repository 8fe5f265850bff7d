// SPDX-License-Identifier: Apache-2.0
#include "containers.h"

#include <google/protobuf/util/message_differencer.h>

namespace cellwall {
namespace {

// As Docker's own default host name.
constexpr size_t kShortId = 12;

void fill(v1::Container* container, const RuntimeContainer& listed) {
  container->set_name(listed.name);
  container->set_image(listed.image);
  container->set_namespace_(listed.namespace_name);
  container->set_pod(listed.pod);
  if (!listed.pod_uid.empty()) container->set_pod_uid(listed.pod_uid);
  container->mutable_labels()->clear();
  for (const auto& [key, value] : listed.labels) (*container->mutable_labels())[key] = value;
  container->clear_addresses();
  for (const auto& address : listed.addresses) container->add_addresses(address);
  container->set_created_us(listed.created_us);
}

}  // namespace

void Containers::born(const ContainerCgroup& cgroup) {
  v1::Container& container = containers_[cgroup.id];
  container.set_cgroup_id(cgroup.id);
  container.set_cgroup_path(cgroup.path);
  container.set_runtime(cgroup.identity.runtime);
  container.set_runtime_id(cgroup.identity.runtime_id);
  container.set_pod_uid(cgroup.identity.pod_uid);
  // In a pod the runtime has a name for it, and a guess would stay in the records.
  if (cgroup.identity.pod_uid.empty()) container.set_name(cgroup.identity.runtime_id.substr(0, kShortId));
  unnamed_.insert(cgroup.id);
  changed_.insert(cgroup.id);
}

void Containers::died(uint64_t cgroup) {
  if (containers_.erase(cgroup) == 0) return;
  unnamed_.erase(cgroup);
  changed_.erase(cgroup);
  removed_.push_back(cgroup);
}

std::vector<uint64_t> Containers::name(const RuntimeContainers& listed) {
  std::vector<uint64_t> news;
  for (auto& [id, container] : containers_) {
    const auto found = listed.find(container.runtime_id());
    if (found == listed.end()) continue;
    unnamed_.erase(id);
    v1::Container named = container;
    fill(&named, found->second);
    if (google::protobuf::util::MessageDifferencer::Equals(named, container)) continue;
    container = std::move(named);
    changed_.insert(id);
    news.push_back(id);
  }
  return news;
}

void Containers::recall(const v1::Container& known) {
  const auto found = containers_.find(known.cgroup_id());
  if (found != containers_.end() && found->second.runtime_id() == known.runtime_id()) found->second = known;
}

bool Containers::any_unnamed() const {
  return !unnamed_.empty();
}

v1::ContainersUpdate Containers::complete() const {
  v1::ContainersUpdate update;
  update.set_complete(true);
  for (const auto& [id, container] : containers_) *update.add_upserted() = container;
  return update;
}

void Containers::reset_changes() {
  changed_.clear();
  removed_.clear();
}

v1::ContainersUpdate Containers::take_changes() {
  v1::ContainersUpdate update;
  for (uint64_t id : changed_) *update.add_upserted() = containers_.at(id);
  for (uint64_t id : removed_) update.add_removed(id);
  reset_changes();
  return update;
}

}  // namespace cellwall
