// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a segment of the spool. What is read stands there as it would be written, and a good record is
// found whatever is before it.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

#include "../../src/spool_record.h"
#include "check.h"

namespace {

using namespace cellwall;

SpoolScanner::Read reader_of(const std::string& bytes) {
  return [&bytes](uint64_t offset, char* out, size_t wanted) -> size_t {
    if (offset >= bytes.size()) return 0;
    const size_t count = std::min(wanted, bytes.size() - static_cast<size_t>(offset));
    std::memcpy(out, bytes.data() + offset, count);
    return count;
  };
}

SpoolRecord known() {
  SpoolRecord record;
  record.first = 5;
  record.last = 9;
  record.epoch = "boot.1";
  record.body = "the last one";
  return record;
}

bool is_known(const SpoolRecord& record) {
  return record.first == 5 && record.last == 9 && record.epoch == "boot.1" && record.body == "the last one";
}

void check(const std::string& bytes, bool with_body, bool* found) {
  SpoolScanner scanner(reader_of(bytes), 0);
  uint64_t before = 0;
  while (const auto record = scanner.next(with_body)) {
    must(scanner.offset() >= before + kSpoolHeadBytes && scanner.offset() <= bytes.size(),
         "records follow each other, within the file");
    if (with_body) {
      const size_t size = kSpoolHeadBytes + record->epoch.size() + record->body.size();
      const std::string payload =
          bytes.substr(scanner.offset() - size + kSpoolHeadBytes, size - kSpoolHeadBytes);
      must(payload == record->epoch + record->body, "a record is what stands there");
      *found = is_known(*record);
    }
    before = scanner.offset();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes = std::string(reinterpret_cast<const char*>(data), size) + encode(known());
  bool found = false;
  check(bytes, false, &found);
  check(bytes, true, &found);
  must(found, "a good record is found behind any bytes");
  return 0;
}
