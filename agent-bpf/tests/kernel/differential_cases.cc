// SPDX-License-Identifier: Apache-2.0
#include "differential_cases.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

namespace cellwall::test {
namespace {

using nlohmann::json;

std::string content(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

v1::Container read_container(const json& it) {
  v1::Container made;
  made.set_namespace_(it.at("namespace").get<std::string>());
  made.set_pod(it.at("pod").get<std::string>());
  made.set_name(it.at("name").get<std::string>());
  made.set_image(it.at("image").get<std::string>());
  for (const auto& [key, value] : it.at("labels").items())
    (*made.mutable_labels())[key] = value.get<std::string>();
  for (const auto& address : it.at("addresses")) made.add_addresses(address.get<std::string>());
  for (const auto& port : it.at("ports")) {
    auto* named = made.add_ports();
    named->set_name(port.at("name").get<std::string>());
    named->set_protocol(port.at("protocol").get<uint32_t>());
    named->set_port(port.at("port").get<uint32_t>());
  }
  return made;
}

std::vector<v1::RuleSetAmendment> read_amendments(const std::filesystem::path& file) {
  std::vector<v1::RuleSetAmendment> found;
  for (int number = 1;; number++) {
    std::filesystem::path next = file;
    next.replace_extension("." + std::to_string(number) + ".pb");
    if (!std::filesystem::exists(next)) return found;
    if (!found.emplace_back().ParseFromString(content(next)))
      throw std::runtime_error(next.string() + " is no RuleSetAmendment");
  }
}

cw_verdict verdict_of(const std::string& name) {
  static const std::map<std::string, cw_verdict> kVerdicts = {
      {"allowed", CW_ALLOWED}, {"denied", CW_DENIED}, {"audit", CW_AUDIT}};
  return kVerdicts.at(name);
}

DifferentialCase read_case(const json& it) {
  return {.container = 0,
          .direction = it.at("direction").get<std::string>() == "egress" ? CW_EGRESS : CW_INGRESS,
          .address = it.at("address").get<std::string>(),
          .protocol = it.at("protocol").get<uint8_t>(),
          .port = it.at("port").get<uint16_t>(),
          .verdict = verdict_of(it.at("verdict").get<std::string>()),
          .rule = it.at("rule").get<uint32_t>()};
}

DifferentialWorld make_world(const std::string& folder, const json& it) {
  const std::string name = it.at("sets").get<std::string>(), file = folder + "/" + name;
  return {.name = name,
          .node = it.at("node").get<std::string>(),
          .rule_sets = content(file),
          .amendments = read_amendments(file),
          .containers = {},
          .cases = {}};
}

size_t index_of(const v1::Container& container, DifferentialWorld* world) {
  const auto same = [&](const v1::Container& it) {
    return google::protobuf::util::MessageDifferencer::Equals(it, container);
  };
  auto& all = world->containers;
  const auto found = std::find_if(all.begin(), all.end(), same);
  const size_t index = static_cast<size_t>(found - all.begin());
  if (index == all.size()) all.push_back(container);
  return index;
}

}  // namespace

std::vector<DifferentialWorld> read_worlds(const std::string& folder) {
  std::vector<DifferentialWorld> worlds;
  std::map<std::string, size_t> known;
  std::ifstream lines(folder + "/cases.jsonl");
  for (std::string line; std::getline(lines, line);) {
    const json it = json::parse(line);
    const auto [at, fresh] = known.emplace(it.at("sets").get<std::string>(), worlds.size());
    if (fresh) worlds.push_back(make_world(folder, it));
    DifferentialWorld& world = worlds[at->second];
    DifferentialCase& made = world.cases.emplace_back(read_case(it));
    made.container = index_of(read_container(it.at("container")), &world);
  }
  return worlds;
}

std::string describe(const DifferentialCase& it) {
  std::string text = "container " + std::to_string(it.container);
  text += it.direction == CW_EGRESS ? " to " : " from ";
  return text + it.address + " protocol " + std::to_string(it.protocol) + " port " + std::to_string(it.port);
}

}  // namespace cellwall::test
