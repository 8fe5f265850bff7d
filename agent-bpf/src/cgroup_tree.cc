// SPDX-License-Identifier: Apache-2.0
#include "cgroup_tree.h"

#include <sys/stat.h>

#include <filesystem>

#include "directories.h"
#include "kernel_cgroup.h"

namespace cellwall {
namespace {

constexpr std::chrono::minutes kRememberDead{5};

uint64_t inode(const std::string& path) {
  struct stat info = {};
  return stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

}  // namespace

Result<CgroupTree> CgroupTree::open(const std::string& attach_point) {
  const auto point = find_attach_point(attach_point);
  if (!point) return std::unexpected(point.error());
  std::error_code error;
  std::filesystem::path root = std::filesystem::canonical(attach_point, error);
  if (error) return fail("attach point " + attach_point + ": " + error.message());
  const std::string full = root;
  for (int i = 0; i < point->level; i++) root = root.parent_path();
  CgroupTree tree;
  tree.root_ = root;
  tree.attach_ = full.substr(tree.root_.size());
  return tree;
}

void CgroupTree::scan_directory(const std::string& path,
                                std::unordered_map<uint64_t, std::string>* found) const {
  for (const auto& entry : entries_of(root_ + path)) {
    std::error_code ignored;
    if (!entry.is_directory(ignored)) continue;
    const std::string child = path + "/" + entry.path().filename().string();
    const uint64_t id = inode(root_ + child);
    if (id == 0) continue;  // died meanwhile
    found->emplace(id, child);
    scan_directory(child, found);
  }
}

std::vector<ContainerCgroup> CgroupTree::scan(Time now, std::vector<uint64_t>* died) {
  std::unordered_map<uint64_t, std::string> found;
  scan_directory(attach_, &found);
  std::vector<ContainerCgroup> born;
  for (const auto& [id, path] : found) {
    const auto known = nodes_.find(id);
    ContainerCgroup container;
    if ((known == nodes_.end() || !known->second.alive) && add(id, path, &container))
      born.push_back(std::move(container));
  }
  for (const auto& [id, node] : nodes_) {
    if (node.alive && node.container == id && !found.contains(id)) died->push_back(id);
  }
  for (auto& [id, node] : nodes_) {
    if (node.alive && !found.contains(id)) remove(id, now);
  }
  return born;
}

bool CgroupTree::add(uint64_t id, const std::string& path, ContainerCgroup* born) {
  const auto identity = parse_cgroup_path(path);
  if (!identity) {
    nodes_[id] = {.container = 0};
    return false;
  }
  const bool own = identity->length == path.size();
  nodes_[id] = {.container = own ? id : inode(root_ + path.substr(0, identity->length))};
  if (own) *born = {.id = id, .path = path, .identity = *identity};
  return own;
}

bool CgroupTree::remove(uint64_t id, Time now) {
  const auto known = nodes_.find(id);
  if (known == nodes_.end() || !known->second.alive) return false;
  known->second.alive = false;
  known->second.died = now;
  return known->second.container == id;
}

void CgroupTree::forget_dead(Time now) {
  std::erase_if(nodes_, [&](const auto& entry) {
    return !entry.second.alive && now - entry.second.died > kRememberDead;
  });
}

uint64_t CgroupTree::container_of(uint64_t cgroup) const {
  const auto known = nodes_.find(cgroup);
  return known == nodes_.end() ? 0 : known->second.container;
}

}  // namespace cellwall
