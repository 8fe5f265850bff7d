// SPDX-License-Identifier: Apache-2.0
#include "test_run.h"

#include <bpf/bpf.h>

#include <array>

namespace cellwall {

Result<uint32_t> test_run(const bpf_program* program, const char* what) {
  // An Ethernet type for experiments: it is no IP packet.
  constexpr std::array<uint8_t, 64> kPacket = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x88, 0xb5};
  return test_run(program, kPacket, what);
}

Result<uint32_t> test_run(const bpf_program* program, std::span<const uint8_t> packet, const char* what) {
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data(),
              .data_size_in = static_cast<uint32_t>(packet.size()));
  if (bpf_prog_test_run_opts(bpf_program__fd(program), &options) != 0) return fail_errno(what);
  return options.retval;
}

}  // namespace cellwall
