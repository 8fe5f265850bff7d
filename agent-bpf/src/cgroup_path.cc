// SPDX-License-Identifier: Apache-2.0
#include "cgroup_path.h"

#include <algorithm>
#include <array>

namespace cellwall {
namespace {

struct Prefix {
  std::string_view text;
  std::string_view runtime;  // empty: a helper of the runtime, not the container
};

// Longer ones first where one begins another.
constexpr std::array kPrefixes = {
    Prefix{"cri-containerd-", "containerd"},
    Prefix{"containerd-", "containerd"},
    Prefix{"nerdctl-", "containerd"},
    Prefix{"crio-conmon-", ""},
    Prefix{"crio-", "cri-o"},
    Prefix{"docker-", "docker"},
    Prefix{"libpod-conmon-", ""},
    Prefix{"libpod-payload-", "podman"},
    Prefix{"libpod-", "podman"},
};
constexpr size_t kIdLength = 64;

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool is_id(std::string_view text) {
  return text.size() == kIdLength && std::all_of(text.begin(), text.end(), is_hex);
}

// A UUID, or of a static pod the 32 digits of its configuration's hash. Else "/podman" would hold a pod
// "man".
bool is_pod_uid(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_hex(c) || c == '-' || c == '_'; });
}

std::string_view without_suffix(std::string_view text, std::string_view suffix) {
  return text.ends_with(suffix) ? text.substr(0, text.size() - suffix.size()) : text;
}

// The parent tells who made a cgroup whose name is nothing but an id. Empty: it is no container.
std::string_view runtime_of_bare_id(std::string_view parent, const std::string& pod_uid) {
  if (parent == "docker") return "docker";
  if (parent.starts_with("libpod")) return "";  // a pod of Podman: its containers have a prefix
  // containerd makes /<namespace>/<id>; of its namespaces these two can be told from other folders.
  if (parent == "default" || parent == "k8s.io") return "containerd";
  return pod_uid.empty() ? "unknown" : "containerd";
}

// "kubepods-burstable-pod1234_56.slice" and "pod1234-56"
std::string pod_uid_of(std::string_view component) {
  const bool slice = component.ends_with(".slice");
  component = without_suffix(component, ".slice");
  const size_t at = slice ? component.rfind("-pod") : 0;
  if (at == std::string_view::npos) return "";
  const std::string_view rest = component.substr(slice ? at + 1 : 0);
  if (!rest.starts_with("pod") || !is_pod_uid(rest.substr(3))) return "";
  std::string uid(rest.substr(3));
  if (slice) std::replace(uid.begin(), uid.end(), '_', '-');
  return uid;
}

bool parse_name(std::string_view name, const std::string& pod_uid, std::string_view bare_runtime,
                ContainerPath* found) {
  for (const Prefix& prefix : kPrefixes) {
    if (!name.starts_with(prefix.text) || !is_id(name.substr(prefix.text.size()))) continue;
    if (prefix.runtime.empty()) return false;
    *found = {std::string(prefix.runtime), std::string(name.substr(prefix.text.size())), pod_uid, 0};
    return true;
  }
  if (!is_id(name) || bare_runtime.empty()) return false;
  *found = {std::string(bare_runtime), std::string(name), pod_uid, 0};
  return true;
}

// "<slice>:<prefix>:<id>" is what systemd is told. Where the kubelet speaks systemd and runc does not, it
// becomes the name of a folder.
bool parse_unit(std::string_view component, ContainerPath* found) {
  const size_t first = component.find(':'), last = component.rfind(':');
  if (first == std::string_view::npos || first == last) return false;
  std::string name(component.substr(first + 1));
  name[last - first - 1] = '-';
  return parse_name(name, pod_uid_of(component.substr(0, first)), "", found);
}

bool parse_component(std::string_view component, std::string_view parent, ContainerPath* found) {
  if (parse_unit(component, found)) return true;
  const std::string uid = pod_uid_of(parent);
  return parse_name(without_suffix(component, ".scope"), uid, runtime_of_bare_id(parent, uid), found);
}

}  // namespace

std::optional<ContainerPath> parse_cgroup_path(std::string_view path) {
  size_t end = path.size();
  while (end > 0) {
    const size_t slash = path.rfind('/', end - 1);
    const size_t begin = slash == std::string_view::npos ? 0 : slash + 1;
    const std::string_view component = path.substr(begin, end - begin);
    const std::string_view above = begin > 0 ? path.substr(0, begin - 1) : std::string_view();
    const size_t parent_slash = above.rfind('/');
    const std::string_view parent =
        parent_slash == std::string_view::npos ? above : above.substr(parent_slash + 1);
    ContainerPath found;
    if (parse_component(component, parent, &found)) {
      found.length = end;
      return found;
    }
    if (slash == std::string_view::npos) break;
    end = slash;
  }
  return std::nullopt;
}

}  // namespace cellwall
