// SPDX-License-Identifier: Apache-2.0
#include "processes.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <new>

namespace cellwall::test {
namespace {

int run_child(const std::string& cgroup, const std::function<int()>& work) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm(kChildSeconds);
  if (!cgroup.empty()) {
    std::ofstream procs(cgroup + "/cgroup.procs");
    procs << getpid() << std::flush;
    if (!procs) return 254;
  }
  return work();
}

}  // namespace

Signal::Signal() {
  if (pipe(ends_) != 0) std::abort();
}

Signal::~Signal() {
  close(ends_[0]);
  close(ends_[1]);
}

void Signal::give() {
  (void)!write(ends_[1], "x", 1);
}

bool Signal::wait(int seconds) {
  pollfd waiting = {.fd = ends_[0], .events = POLLIN, .revents = 0};
  char byte;
  return poll(&waiting, 1, seconds * 1000) == 1 && read(ends_[0], &byte, 1) == 1;
}

Child::Child(const std::string& cgroup, const std::function<int()>& work) : pid_(fork()) {
  if (pid_ == 0) _exit(run_child(cgroup, work));
}

Child::~Child() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  join();
}

int Child::join() {
  int status = 0;
  if (pid_ > 0 && waitpid(pid_, &status, 0) == pid_ && WIFEXITED(status)) code_ = WEXITSTATUS(status);
  pid_ = 0;
  return code_;
}

int run_in(const std::string& cgroup, const std::function<int()>& work) {
  return Child(cgroup, work).join();
}

int fails_while(const std::string& cgroup, const std::function<bool()>& attempt,
                const std::function<void()>& work, int* attempts) {
  struct Shared {
    std::atomic<bool> done = false;
    std::atomic<int> attempts = 0;
    std::atomic<int> failed = 0;
  };
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* shared = new (memory) Shared;
  Child child(cgroup, [&] {
    for (; !shared->done; shared->attempts++) shared->failed += !attempt();
    return 0;
  });
  for (int i = 0; i < 100000 && shared->attempts == 0; i++) usleep(100);
  work();
  shared->done = true;
  child.join();
  *attempts = shared->attempts;
  const int failed = shared->failed;
  munmap(memory, sizeof(Shared));
  return failed;
}

}  // namespace cellwall::test
