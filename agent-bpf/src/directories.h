// SPDX-License-Identifier: Apache-2.0
//
// What is in directories that others remove meanwhile: cgroups and processes end as one looks. The iterators
// of the standard library throw then, in a loop over a range even if they were begun with an error code.
#pragma once

#include <filesystem>
#include <system_error>
#include <vector>

namespace cellwall {

template <typename Iterator>
std::vector<std::filesystem::directory_entry> collect_entries(const std::filesystem::path& directory,
                                                              size_t most) {
  std::vector<std::filesystem::directory_entry> entries;
  std::error_code error;
  for (Iterator at(directory, error); !error && at != Iterator() && entries.size() < most;
       at.increment(error))
    entries.push_back(*at);
  return entries;
}

// As much as could be read.
inline std::vector<std::filesystem::directory_entry> entries_of(const std::filesystem::path& directory) {
  return collect_entries<std::filesystem::directory_iterator>(directory, SIZE_MAX);
}

// With all below it, at most so many.
inline std::vector<std::filesystem::directory_entry> entries_below(const std::filesystem::path& directory,
                                                                   size_t most) {
  return collect_entries<std::filesystem::recursive_directory_iterator>(directory, most);
}

}  // namespace cellwall
