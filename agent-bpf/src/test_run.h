// SPDX-License-Identifier: Apache-2.0
//
// Programs that run when the agent says so. They are of the kind that judges packets, and get one that is
// none: programs of the kind "syscall" can sleep, and kernels before 6.2 refuse those most kinds of maps.
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <span>

#include "result.h"

namespace cellwall {

// what: for the error, such as "end idle conversations". Returns what the program did.
Result<uint32_t> test_run(const bpf_program* program, const char* what);
// packet: with an Ethernet header, which the kernel takes away.
Result<uint32_t> test_run(const bpf_program* program, std::span<const uint8_t> packet, const char* what);

}  // namespace cellwall
