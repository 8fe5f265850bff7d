// SPDX-License-Identifier: Apache-2.0
//
// What the benchmarks share: a fixture of the kernel tests that runs by itself, clocks, figures.
#pragma once

#include <linux/bpf.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "../kernel/fixture.h"
#include "fd.h"

namespace cellwall::test {

template <typename Fixture>
class Standalone : public Fixture {
 public:
  using Fixture::SetUp;
  using Fixture::TearDown;
  void TestBody() override {}
  bool forced_fallback() const override { return false; }

 protected:
  void must_start(const std::function<void(KernelOptions&)>& change = [](KernelOptions&) {}) {
    Fixture::start(change);
    if (!Fixture::kernel_) std::exit(1);
  }
};

// Processor time of all children that have ended.
double children_ns();

using Samples = std::map<std::string, std::vector<double>>;
using Figures = std::map<std::string, double>;

double percentile(std::vector<double> values, double part);
// What others do on the machine only ever adds, so the lower end is nearer to the truth than the middle.
inline double low(std::vector<double> values) {
  return percentile(std::move(values), 0.2);
}
// One figure for each list of samples, named "<name>_ns".
Figures figures_ns(const Samples& samples, double (*pick)(std::vector<double>));

// One JSON object: the counts, then the figures.
void print(const std::vector<std::pair<std::string, int>>& counts, const Figures& figures);

// The main program of a benchmark that takes the number of rounds as its argument.
template <typename Bench>
int run_rounds(int argc, char** argv, int usual, const std::pair<std::string, int>& count) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : usual;
  enter_own_namespaces();
  Bench bench;
  bench.SetUp();
  const Figures figures = bench.run(rounds);
  bench.TearDown();
  print({{"rounds", rounds}, count}, figures);
  return 0;
}

// By the kernel's own count, of all programs of that name together.
struct Inside {
  double runs = 0;
  double ns = 0;  // of one run; 0: there was none
};
Inside inside(const std::string& program, const std::function<void()>& traffic);

// A program that does nothing but return that verdict.
Fd empty_program(bpf_prog_type type, int verdict);

}  // namespace cellwall::test
