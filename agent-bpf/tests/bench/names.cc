// SPDX-License-Identifier: Apache-2.0
//
// What reading an answer of a name server costs in the kernel, by test runs: nanoseconds for each, above
// those of a program that does nothing. "matched": an alias and two addresses that are known already.
// "first": the same, not known yet. Prints one JSON object; the lowest of the rounds.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "../kernel/names_fixture.h"
#include "../unit/messages.h"
#include "clock.h"
#include "measure.h"

namespace cellwall::test {
namespace {

constexpr int kRepeats = 200000;

// The newest program of that name.
Fd program(const std::string& name) {
  Fd found;
  uint32_t id = 0;
  while (bpf_prog_get_next_id(id, &id) == 0) {
    Fd fd(bpf_prog_get_fd_by_id(id));
    bpf_prog_info info = {};
    uint32_t size = sizeof(info);
    if (fd && bpf_obj_get_info_by_fd(fd.get(), &info, &size) == 0 && name == info.name) found = std::move(fd);
  }
  return found;
}

double test_run_ns(int program, const Message& packet, int repeats) {
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data(),
              .data_size_in = static_cast<uint32_t>(packet.size()), .repeat = repeats);
  if (bpf_prog_test_run_opts(program, &options) != 0) std::perror("test run");
  return options.duration;
}

Message taught(uint64_t container, const Message& message) {
  cw_taught head = {.frame = {}, .pad = {}, .container = container, .time_ns = boot_now_ns()};
  head.frame[12] = 0x88;
  head.frame[13] = 0xb5;
  Message packet(sizeof(head));
  std::memcpy(packet.data(), &head, sizeof(head));
  packet.insert(packet.end(), message.begin(), message.end());
  return packet;
}

Message usual_answer(const std::string& name, uint8_t address) {
  return DnsWriter(kDnsOk, 1, 3)
      .question(name, 1)
      .pointer(12)
      .record(5, 60, DnsWriter::encoded("cdn.example.net"))
      .pointer(12)
      .record(1, 60, {93, 184, 216, address})
      .pointer(12)
      .record(1, 60, {93, 184, 217, address})
      .bytes();
}

// A datagram from port 443 to port 40000.
Message other_packet() {
  Message packet = from_hex(
      "0000000000000000000000000800"
      "4500007c0000400040110000"
      "0a0700010a070002"
      "01bb9c4000680000");
  packet.resize(packet.size() + 96, 0x5a);
  return packet;
}

class Bench : public Standalone<NamesTest> {
 public:
  Figures run(int rounds) {
    accept({"*.example.com"});
    const Fd teach = program("cw_names_teach"), guard = program("cw_names_guard"),
             empty = empty_program(BPF_PROG_TYPE_CGROUP_SKB, 1);
    const uint64_t id = cgroup_id(web_);
    Figures lowest;
    const auto take = [&](const std::string& name, int fd, const Message& packet, int repeats) {
      const double above = test_run_ns(fd, packet, repeats) - test_run_ns(empty.get(), packet, kRepeats);
      const auto [known, fresh] = lowest.emplace(name + "_ns", above);
      if (!fresh) known->second = std::min(known->second, above);
    };
    for (int i = 0; i < rounds; i++) {
      take("first", teach.get(), taught(id, usual_answer("www.example.com", static_cast<uint8_t>(i))), 1);
      take("matched", teach.get(), taught(id, usual_answer("www.example.com", 1)), kRepeats);
      take("not_matched", teach.get(), taught(id, usual_answer("www.example.org", 1)), kRepeats);
      take("other_packet", guard.get(), other_packet(), kRepeats);
    }
    return lowest;
  }
};

}  // namespace
}  // namespace cellwall::test

int main(int argc, char** argv) {
  using namespace cellwall::test;
  return run_rounds<Bench>(argc, argv, 20, {"repeats", kRepeats});
}
