// SPDX-License-Identifier: Apache-2.0
#include "selectors.h"

#include <algorithm>
#include <string_view>

namespace cellwall {
namespace {

template <typename List>
bool has(const List& list, const std::string& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

// An empty list asks for nothing.
template <typename List>
bool allows(const List& list, const std::string& value) {
  return list.empty() || has(list, value);
}

// "registry:5000/shop/web:1.2@sha256:…" without ":1.2@sha256:…"
std::string_view without_tag(std::string_view image) {
  image = image.substr(0, image.find('@'));
  // A colon before the last slash is that of a registry's port.
  const size_t slash = image.rfind('/');
  return image.substr(0, image.find(':', slash == std::string_view::npos ? 0 : slash));
}

// Goes back to the last star only, so the time is bounded by the product of the lengths.
bool fits(std::string_view pattern, std::string_view text) {
  size_t at = 0, star = std::string_view::npos, resumed = 0;
  for (size_t i = 0; i < text.size();) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      resumed = i;
    } else if (at < pattern.size() && pattern[at] == text[i]) {
      at++;
      i++;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      i = ++resumed;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', at) == std::string_view::npos;
}

bool in_namespace(const v1::PolicySelector& selector, const std::string& name) {
  return selector.all_namespaces() || selector.namespace_() == name || has(selector.more_namespaces(), name);
}

bool has_image(const v1::PolicySelector& selector, const std::string& image) {
  if (selector.images().empty()) return true;
  return std::any_of(selector.images().begin(), selector.images().end(),
                     [&](const std::string& pattern) { return matches_image(pattern, image); });
}

bool has_port(const v1::NamedPort& wanted, const v1::Container& container) {
  return std::any_of(container.ports().begin(), container.ports().end(), [&](const v1::NamedPort& port) {
    return port.name() == wanted.name() && port.protocol() == wanted.protocol() &&
           port.port() == wanted.port();
  });
}

}  // namespace

bool matches(const v1::Requirement& requirement,
             const google::protobuf::Map<std::string, std::string>& labels) {
  const auto label = labels.find(requirement.key());
  const bool present = label != labels.end();
  switch (requirement.operator_()) {
    case v1::OPERATOR_IN:
      return present && has(requirement.values(), label->second);
    case v1::OPERATOR_NOT_IN:
      return !present || !has(requirement.values(), label->second);
    case v1::OPERATOR_EXISTS:
      return present;
    case v1::OPERATOR_DOES_NOT_EXIST:
      return !present;
    default:
      return false;
  }
}

bool matches_image(const std::string& pattern, const std::string& image) {
  if (image.empty()) return false;
  return fits(pattern, image) || fits(pattern, without_tag(image));
}

bool selects(const v1::PolicySelector& selector, const v1::Container& container) {
  // What has no name yet is selected by nothing: a guess would cut off the wrong container.
  if (container.name().empty() || !in_namespace(selector, container.namespace_())) return false;
  if (!allows(selector.pods(), container.pod())) return false;
  if (!allows(selector.containers(), container.name())) return false;
  if (!has_image(selector, container.image())) return false;
  if (selector.has_named_port() && !has_port(selector.named_port(), container)) return false;
  return std::all_of(selector.pod_labels().begin(), selector.pod_labels().end(),
                     [&](const auto& requirement) { return matches(requirement, container.labels()); });
}

}  // namespace cellwall
