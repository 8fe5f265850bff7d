// SPDX-License-Identifier: Apache-2.0
#include "check.h"

#include <cstdio>

namespace cellwall {

bool print_abilities(const std::vector<Ability>& abilities) {
  int missing = 0, optional = 0;
  for (const Ability& ability : abilities) {
    const char* mark = ability.present ? "ok     " : ability.required ? "MISSING" : "absent ";
    std::printf("%s  %s\n", mark, ability.name.c_str());
    if (ability.present) continue;
    std::printf("         %s\n", ability.consequence.c_str());
    (ability.required ? missing : optional)++;
  }
  if (missing > 0)
    std::printf("\nThe agent cannot run here: %d required part%s missing.\n", missing,
                missing == 1 ? " is" : "s are");
  else if (optional > 0)
    std::printf("\nThe agent can run here, with what is said above.\n");
  else
    std::printf("\nNothing is missing.\n");
  return missing == 0;
}

}  // namespace cellwall
