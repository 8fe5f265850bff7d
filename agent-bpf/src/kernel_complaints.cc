// SPDX-License-Identifier: Apache-2.0
#include "kernel_complaints.h"

#include <bpf/libbpf.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>

namespace cellwall {
namespace {

std::string& complaints() {
  static std::string text;
  return text;
}

int collect_complaint(libbpf_print_level level, const char* format, va_list arguments) {
  constexpr size_t kMost = 4096;
  if (level != LIBBPF_WARN) return 0;
  va_list again;
  va_copy(again, arguments);
  // The verifier's log is long, and what it says is at its end.
  std::string line(static_cast<size_t>(std::max(vsnprintf(nullptr, 0, format, again), 0)) + 1, '\0');
  va_end(again);
  vsnprintf(line.data(), line.size(), format, arguments);
  line.pop_back();
  std::string& text = complaints();
  text += line;
  if (text.size() > kMost) text.erase(0, text.size() - kMost);
  return 0;
}

}  // namespace

void collect_complaints() {
  libbpf_set_print(collect_complaint);
  complaints().clear();
}

std::string last_complaints() {
  std::string text = complaints();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text.empty() ? "" : " (" + text.substr(text.size() > 600 ? text.size() - 600 : 0) + ")";
}

}  // namespace cellwall
