// SPDX-License-Identifier: Apache-2.0
//
// Writes the messages of the unit tests as the first inputs of the fuzzers: seeds DIRECTORY
#include <netinet/in.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "../../src/spool_record.h"
#include "../unit/messages.h"
#include "../unit/rule_sets.h"

namespace {

using namespace cellwall::test;

bool write(const std::filesystem::path& file, const Message& bytes) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream out(file, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return out.good();
}

Message marked(const PayloadSample& sample) {
  const int mark = (sample.from_client ? 1 : 0) | (sample.protocol == IPPROTO_UDP ? 2 : 0) |
                   (sample.server_port == 53 ? 4 : 0);
  Message bytes = {static_cast<uint8_t>(mark)};
  bytes.insert(bytes.end(), sample.bytes.begin(), sample.bytes.end());
  return bytes;
}

// Two records, and what a power cut or a bad disk makes of them.
std::vector<std::pair<std::string, std::string>> spool_samples() {
  cellwall::SpoolRecord batch;
  batch.first = 1;
  batch.last = 3;
  batch.first_us = batch.last_us = 1'767'225'600'000'000;
  batch.epoch = "3f6c.1";
  batch.body = std::string(40, 'b');
  cellwall::SpoolRecord names;
  names.kind = cellwall::SpoolKind::kContainers;
  names.epoch = "3f6c.1";
  names.body = "web";
  const std::string whole = cellwall::encode(names) + cellwall::encode(batch) + cellwall::encode(batch);
  std::string damaged = whole;
  damaged[cellwall::encode(names).size() + 20] ^= 1;
  return {{"whole", whole}, {"torn", whole.substr(0, whole.size() - 30)}, {"damaged", damaged}};
}

// What the server sends of policies.
std::vector<std::pair<std::string, std::string>> rule_set_samples() {
  cellwall::v1::StreamResponse whole, amended, other;
  whole.mutable_rule_sets()->set_payload(rule_sets().SerializeAsString());
  *amended.mutable_amendment() = amendment();
  *amended.mutable_amendment()->add_rule_sets() = rule_set(5, {1, 2});
  auto* additions = amended.mutable_amendment()->add_additions();
  additions->set_id(1);
  add_identity(additions, 8, 2);
  add_port(additions, 2, cellwall::v1::VERDICT_DENIED);
  *amended.mutable_amendment()->add_addresses() = address(2, 8);
  amended.mutable_amendment()->add_removed_addresses(address_bytes(1));
  auto* difference = other.mutable_difference();
  *difference = cellwall::test::difference();
  *difference->add_rule_sets() = rule_set(1, {0});
  difference->add_removed_rule_sets(4);
  *difference->add_addresses() = address(2, 8);
  difference->add_removed_addresses(address_bytes(1));
  return {{"whole", whole.SerializeAsString()},
          {"amendment", amended.SerializeAsString()},
          {"difference", other.SerializeAsString()}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: seeds DIRECTORY\n");
    return 2;
  }
  const std::filesystem::path directory = argv[1];
  bool good = true;
  for (const std::string parser : {"dns_message", "dns_answer"}) {
    for (const auto& [name, bytes] : dns_samples()) good = write(directory / parser / name, bytes) && good;
  }
  for (const auto& sample : payload_samples())
    good = write(directory / "first_payload" / sample.name, marked(sample)) && good;
  for (const auto& [name, bytes] : spool_samples())
    good = write(directory / "spool_record" / name, Message(bytes.begin(), bytes.end())) && good;
  for (const auto& [name, bytes] : rule_set_samples())
    good = write(directory / "rule_sets" / name, Message(bytes.begin(), bytes.end())) && good;
  if (!good) std::perror(argv[1]);
  return good ? 0 : 1;
}
