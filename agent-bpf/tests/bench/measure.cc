// SPDX-License-Identifier: Apache-2.0
#include "measure.h"

#include <bpf/bpf.h>
#include <sys/resource.h>

#include <algorithm>

namespace cellwall::test {

double children_ns() {
  rusage usage = {};
  getrusage(RUSAGE_CHILDREN, &usage);
  const auto ns = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_usec) * 1e3;
  };
  return ns(usage.ru_utime) + ns(usage.ru_stime);
}

double percentile(std::vector<double> values, double part) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[static_cast<size_t>(part * static_cast<double>(values.size() - 1))];
}

Figures figures_ns(const Samples& samples, double (*pick)(std::vector<double>)) {
  Figures figures;
  for (const auto& [name, values] : samples) figures[name + "_ns"] = pick(values);
  return figures;
}

void print(const std::vector<std::pair<std::string, int>>& counts, const Figures& figures) {
  const char* separator = "{";
  for (const auto& [name, count] : counts) {
    std::printf("%s\"%s\": %d", separator, name.c_str(), count);
    separator = ", ";
  }
  for (const auto& [name, value] : figures) std::printf(", \"%s\": %.1f", name.c_str(), value);
  std::printf("}\n");
}

Fd empty_program(bpf_prog_type type, int verdict) {
  const bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = verdict},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  return Fd(bpf_prog_load(type, "empty", "GPL", code, 2, nullptr));
}

}  // namespace cellwall::test
