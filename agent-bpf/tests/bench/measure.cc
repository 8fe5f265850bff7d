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

namespace {

// Sums over all programs of the name.
bpf_prog_info count_of(const std::string& name) {
  bpf_prog_info sum = {};
  uint32_t id = 0;
  while (bpf_prog_get_next_id(id, &id) == 0) {
    const Fd program(bpf_prog_get_fd_by_id(id));
    bpf_prog_info info = {};
    uint32_t size = sizeof(info);
    if (!program || bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0) continue;
    if (name.substr(0, BPF_OBJ_NAME_LEN - 1) != info.name) continue;  // as the kernel keeps it
    sum.run_time_ns += info.run_time_ns;
    sum.run_cnt += info.run_cnt;
  }
  return sum;
}

}  // namespace

Inside inside(const std::string& program, const std::function<void()>& traffic) {
  const Fd counting(bpf_enable_stats(BPF_STATS_RUN_TIME));
  const bpf_prog_info before = count_of(program);
  traffic();
  const bpf_prog_info after = count_of(program);
  const auto runs = static_cast<double>(after.run_cnt - before.run_cnt);
  return {.runs = runs,
          .ns = runs > 0 ? static_cast<double>(after.run_time_ns - before.run_time_ns) / runs : 0};
}

Fd empty_program(bpf_prog_type type, int verdict) {
  const bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = verdict},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  return Fd(bpf_prog_load(type, "empty", "GPL", code, 2, nullptr));
}

}  // namespace cellwall::test
