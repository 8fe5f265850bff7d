// SPDX-License-Identifier: Apache-2.0
#include "differential_cases.h"

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
    next.replace_extension("." + std::to_string(number) + ".bin");
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
  return {.container = it.at("container").get<size_t>(),
          .direction = it.at("direction").get<std::string>() == "egress" ? CW_EGRESS : CW_INGRESS,
          .address = it.at("address").get<std::string>(),
          .protocol = it.at("protocol").get<uint8_t>(),
          .port = it.at("port").get<uint16_t>(),
          .names = it.at("names").get<std::vector<std::string>>(),
          .verdict = verdict_of(it.at("verdict").get<std::string>()),
          .rule = it.at("rule").get<uint32_t>()};
}

}  // namespace

std::vector<std::string> list_worlds(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

DifferentialWorld read_world(const std::string& file) {
  const json read = json::parse(content(file));
  DifferentialWorld world;
  world.name = std::filesystem::path(file).stem();
  world.node = read.at("node").get<std::string>();
  world.rule_sets = content(std::filesystem::path(file).replace_extension(".bin"));
  world.amendments = read_amendments(file);
  for (const json& it : read.at("containers")) world.containers.push_back(read_container(it));
  for (const json& it : read.at("cases")) world.cases.push_back(read_case(it));
  return world;
}

std::string describe(const DifferentialCase& it) {
  std::string text = "container " + std::to_string(it.container);
  text += it.direction == CW_EGRESS ? " to " : " from ";
  return text + it.address + " protocol " + std::to_string(it.protocol) + " port " + std::to_string(it.port);
}

}  // namespace cellwall::test
