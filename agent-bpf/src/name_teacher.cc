// SPDX-License-Identifier: Apache-2.0
#include "name_teacher.h"

#include <algorithm>

#include "clock.h"
#include "log.h"

namespace cellwall {
namespace {

// As the kernel does where it learns by itself (bpf/names_guard.h, cw_may_teach). Of a stream nobody
// remembers where its messages begin, and what looks like one may be data that somebody wrote.
bool may_teach(const AnswerSource& source, uint32_t net, std::span<const KernelResolver> resolvers) {
  if (source.stream || net == 0 || source.net != net) return false;
  return std::ranges::any_of(resolvers, [&](const KernelResolver& resolver) {
    return resolver.address == source.server &&
           (resolver.net == net || (resolver.net == 0 && !source.loopback));
  });
}

// No rule has another name.
bool can_be_in_a_rule(const std::string& name) {
  return name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_.") == std::string::npos;
}

}  // namespace

void NameTeacher::teach(uint64_t container, uint32_t net, std::span<const KernelResolver> resolvers) const {
  const uint64_t now = boot_now_ns();
  bool room = true;
  names_.each(container, [&](const KnownAnswer& known) {
    if (!room || known.learned_until_ns() <= now || !may_teach(known.source, net, resolvers) ||
        !can_be_in_a_rule(known.name))
      return;
    const auto ok = kernel_.learn(container, known.address, known.name, known.ttl, known.time_ns);
    room = ok.has_value();
    if (!ok) log(LogLevel::kWarning, ok.error().message, {{"cgroup", container}});
  });
}

}  // namespace cellwall
